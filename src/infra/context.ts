// What belongs to one request or job while it runs: carried by AsyncLocalStorage, read by the log, the queues and what waits for PostgreSQL.
import { AsyncLocalStorage } from 'node:async_hooks';
import type { DatabaseTime } from './database-time';

/** What a request or job is known by. */
export interface Context {
  /** Id of the request that caused all this; a job takes over the one of its request. */
  readonly request_id: string;
  /** When a request came, by performance.now(); a job has none. */
  readonly began?: number;
  /** What a request may wait for PostgreSQL; a job has none. */
  readonly databaseTime?: DatabaseTime;
}

/** `context.run({ request_id }, work)` carries it through all that `work` awaits. */
export const context = new AsyncLocalStorage<Context | undefined>();

/**
 * Does what goes on beyond the request or job that happened to begin it, and belongs to no single one: a connection that all use, a timer, what
 * many wait for. Else all that it ever logs, and all that it waits for, would be in that one's name.
 *
 * Not by exit(): Node takes the hooks of all promises away for its time, and each call costs more than a request does.
 */
export const inBackground = <T>(work: () => T): T => context.run(undefined, work);

/** The time of the request around it; undefined where there is none, as in a job. */
export const databaseTime = (): DatabaseTime | undefined => context.getStore()?.databaseTime;

/** How long ago the request around it came, in milliseconds; 0 where there is none, as in a job. */
export const millisecondsSinceRequest = (): number => {
  const began = context.getStore()?.began;
  return began === undefined ? 0 : performance.now() - began;
};
