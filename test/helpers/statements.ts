// Counts what a process sends to PostgreSQL: a relay between the two reads the messages of the frontend/backend protocol as they pass
// (https://www.postgresql.org/docs/current/protocol-message-formats.html). Query and Execute are a statement each, BEGIN and COMMIT included.
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** Sent once for each new connection, not for a request. */
const CONNECTION_SETUP =
  /^\s*(SET (client_min_messages|standard_conforming_strings|SESSION|search_path)|SHOW |SELECT typname|SELECT set_config\(.*false\))/i;
const LENGTH_BYTES = 4;

/** Reads one connection's messages from the client, in whatever pieces they come. */
class Frontend {
  #rest = Buffer.alloc(0);
  /** Before the start-up message, messages have no type. */
  #started = false;
  readonly #prepared = new Map<string, string>();
  readonly #portals = new Map<string, string>();

  constructor(readonly onStatement: (sql: string) => void) {}

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
    if (type === 'Q') this.onStatement(first);
    else if (type === 'P') this.#prepared.set(first, second);
    else if (type === 'B') this.#portals.set(first, this.#prepared.get(second) ?? '');
    else if (type === 'E') this.onStatement(this.#portals.get(first) ?? '');
  }
}

export class StatementCounter {
  /** Since the last reset(), in order, what sets a connection up left out. */
  readonly statements: string[] = [];
  readonly #sockets = new Set<Socket>();

  private constructor(
    readonly server: Server,
    /** Of the same database, through the relay. */
    readonly url: string,
  ) {}

  /** Starts a relay to the database of `url`. */
  static async start(url: string): Promise<StatementCounter> {
    const target = new URL(url);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const relayed = new URL(url);
    relayed.hostname = '127.0.0.1';
    relayed.port = String((server.address() as AddressInfo).port);
    const counter = new StatementCounter(server, relayed.href);
    server.on('connection', (client) => counter.#relay(client, target.hostname, Number(target.port || 5432)));
    return counter;
  }

  #relay(client: Socket, host: string, port: number): void {
    const upstream = connect({ host, port });
    const frontend = new Frontend((sql) => {
      if (!CONNECTION_SETUP.test(sql)) this.statements.push(sql);
    });
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        other.destroy();
        this.#sockets.delete(socket);
      });
    }
    client.on('data', (chunk: Buffer) => frontend.push(chunk));
    client.pipe(upstream).pipe(client);
  }

  reset(): void {
    this.statements.length = 0;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }
}
