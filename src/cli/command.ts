// What every command of bin/flexiapi has in common: how it fails, what it prints, and what it closes.
import { type Command, InvalidArgumentError } from 'commander';
import { settings } from '../../config';

/** A command that did not do what it was asked for: its message goes to stderr, and the exit code is 1. */
export class Refusal extends Error {}

/** What a command prints: one of the two. */
export interface Output {
  /** With --json. */
  json: unknown;
  text: string;
}

/** Closes what a command may have opened, so that the process ends by itself. */
async function close(): Promise<void> {
  const [{ closeDatabase }, { closeQueues }] = await Promise.all([import('../infra/database.js'), import('../queues/producer.js')]);
  await closeQueues();
  await closeDatabase();
}

/** Makes an action of commander out of a command's work: prints what it gives, and closes everything whatever happens. */
export function action<Arguments extends unknown[]>(
  work: (...given: Arguments) => Promise<Output>,
): (this: Command, ...given: Arguments) => Promise<void> {
  return async function act(...given) {
    try {
      const { json, text } = await work(...given);
      process.stdout.write(`${this.optsWithGlobals<{ json?: boolean }>().json ? JSON.stringify(json) : text}\n`);
    } finally {
      await close();
    }
  };
}

/** Reads an argument that is a whole number of at most nine digits. @throws {InvalidArgumentError} */
export const wholeNumber = (text: string): number => {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('a whole number is expected');
  return Number(text);
};

/** The URL of the database. @throws {Refusal} where none is set */
export function requireDatabase(): string {
  if (settings.DATABASE_URL === undefined) throw new Refusal('DATABASE_URL is not set, and no npm start runs in this folder');
  return settings.DATABASE_URL;
}

/** Makes sure that there is a Redis. @throws {Refusal} where none is set */
export function requireRedis(): void {
  if (settings.REDIS_URL === undefined) throw new Refusal('REDIS_URL is not set, and no npm start runs in this folder');
}
