// One request and its answer, from the first moment to the last: what the log, the metrics and the head of the answer need of it. It stands on the answer
// itself, since a look into a WeakMap costs more than most of what is kept here.
import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { Context } from '../infra/context';
import { DatabaseTime } from '../infra/database-time';

/** Headers of an answer, by their names in lower case. */
export type Headers = Record<string, string | string[]>;

const REQUEST_ID = /^[\w.-]{1,128}$/;

export class Exchange implements Context {
  readonly request_id: string;
  readonly began = performance.now();
  /** What was found out on the way, such as how many requests are left. */
  readonly added: Headers = {};
  #databaseTime: DatabaseTime | undefined;
  #isOver = false;

  /**
   * @param given the id that the request brings
   * @param headers what every answer of its kind carries
   */
  constructor(
    given: string | string[] | undefined,
    readonly headers: Headers,
  ) {
    this.request_id = typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
  }

  get databaseTime(): DatabaseTime {
    if (!this.#databaseTime) {
      this.#databaseTime = new DatabaseTime();
      if (this.#isOver) this.#databaseTime.end();
    }
    return this.#databaseTime;
  }

  /** The request is answered, or its client is gone. */
  end(): void {
    this.#isOver = true;
    this.#databaseTime?.end();
  }

  /**
   * All headers of the answer; what comes last counts.
   *
   * @param given when it is written
   * @param set names of those that were set on the answer itself, which beat what every answer of its kind carries: a page has a policy of its own
   */
  headWith(given: Headers, set: readonly string[]): Headers {
    const head = { ...this.headers, 'x-request-id': this.request_id };
    for (const name of set) Reflect.deleteProperty(head, name);
    return Object.assign(head, this.added, given);
  }
}

const EXCHANGE = Symbol('exchange');
type Answer = ServerResponse & { [EXCHANGE]?: Exchange };

/** Undefined where the app's first middleware has not seen it. */
export const exchangeOf = (response: ServerResponse): Exchange | undefined => (response as Answer)[EXCHANGE];

/** Has an answer belong to an exchange, whose headers it carries however it is written. */
export function beginExchange(response: ServerResponse, exchange: Exchange): void {
  (response as Answer)[EXCHANGE] = exchange;
}

/** Headers that an answer carries, whatever becomes of the request. They go out in one call with all others (messages.ts). */
export function addHeaders(response: ServerResponse, headers: Headers): void {
  const exchange = exchangeOf(response);
  if (exchange) Object.assign(exchange.added, headers);
  else for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
}

/** Takes back what addHeaders() gave. */
export function removeHeaders(response: ServerResponse, names: readonly string[]): void {
  const exchange = exchangeOf(response);
  for (const name of names) {
    if (exchange) delete exchange.added[name];
    else response.removeHeader(name);
  }
}
