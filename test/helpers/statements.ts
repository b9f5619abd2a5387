// Counts what a process sends to PostgreSQL: a relay between the two reads the messages of the frontend/backend protocol as they pass
// (https://www.postgresql.org/docs/current/protocol-message-formats.html). Query and Execute are a statement each, BEGIN and COMMIT included.
import { Relay } from './relay';

/** Sent once for each new connection, not for a request. */
const CONNECTION_SETUP =
  /^\s*(SET (client_min_messages|standard_conforming_strings|SESSION|search_path)|SHOW |SELECT typname|SELECT set_config\(.*false\))/i;
const LENGTH_BYTES = 4;

/** A statement that a session has parsed; `name` is empty where it is for once. */
export interface Prepared {
  name: string;
  sql: string;
}

/** Reads one connection's messages from the client, in whatever pieces they come. */
class Frontend {
  #rest = Buffer.alloc(0);
  /** Before the start-up message, messages have no type. */
  #started = false;
  readonly #prepared = new Map<string, string>();
  /** Statements, and all that is bound to them, as text. */
  readonly #portals = new Map<string, [sql: string, bound: string]>();

  constructor(
    readonly onStatement: (sql: string, bound: string) => void,
    readonly onParse: (prepared: Prepared) => void,
  ) {}

  push(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    for (;;) {
      const typeBytes = this.#started ? 1 : 0;
      if (this.#rest.length < typeBytes + LENGTH_BYTES) return;
      // The length counts itself, not the type.
      const end = typeBytes + this.#rest.readInt32BE(typeBytes);
      if (this.#rest.length < end) return;
      if (this.#started) this.#read(String.fromCharCode(this.#rest[0] ?? 0), this.#rest.subarray(typeBytes + LENGTH_BYTES, end));
      // An SSLRequest has 8 bytes; the start-up message follows it.
      else this.#started = end > 8;
      this.#rest = this.#rest.subarray(end);
    }
  }

  #read(type: string, body: Buffer): void {
    const [first = '', second = ''] = body.toString('utf8').split('\0', 2);
    if (type === 'Q') this.onStatement(first, '');
    else if (type === 'P') {
      this.#prepared.set(first, second);
      this.onParse({ name: first, sql: second });
    } else if (type === 'B') this.#portals.set(first, [this.#prepared.get(second) ?? '', body.toString('latin1')]);
    else if (type === 'E') this.onStatement(...(this.#portals.get(first) ?? (['', ''] as const)));
  }
}

export class StatementCounter {
  private constructor(
    readonly relay: Relay,
    /** Of the same database, through the relay. */
    readonly url: string,
    /** Since the last reset(), in order, what sets a connection up left out. */
    readonly statements: string[],
    /** What was bound to each of them, octets as they went. */
    readonly bound: string[],
    /** What was parsed, since the start. */
    readonly prepared: Prepared[],
  ) {}

  /** Starts a relay to the database of `url`. */
  static async start(url: string): Promise<StatementCounter> {
    const statements: string[] = [];
    const values: string[] = [];
    const parsed: Prepared[] = [];
    const relay = await Relay.start(url, () => {
      const frontend = new Frontend(
        (sql, bound) => {
          if (CONNECTION_SETUP.test(sql)) return;
          statements.push(sql);
          values.push(bound);
        },
        (prepared) => parsed.push(prepared),
      );
      return { asked: (chunk) => frontend.push(chunk) };
    });
    return new StatementCounter(relay, relay.through(url), statements, values, parsed);
  }

  reset(): void {
    this.statements.length = 0;
    this.bound.length = 0;
  }

  stop(): Promise<void> {
    return this.relay.stop();
  }
}
