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

/** Makes an action of commander out of a command's work: prints what it gives, where it has not printed by itself, and closes everything whatever happens. */
export function action<Arguments extends unknown[]>(
  work: (...given: Arguments) => Promise<Output | undefined>,
): (this: Command, ...given: Arguments) => Promise<void> {
  return async function act(...given) {
    try {
      const output = await work(...given);
      if (output === undefined) return;
      const { json, text } = output;
      process.stdout.write(`${this.optsWithGlobals<{ json?: boolean }>().json ? JSON.stringify(json) : text}\n`);
    } finally {
      await close();
    }
  };
}

/** Reads an argument that is a whole number. @param max the greatest that is of use @throws {InvalidArgumentError} which names the bound */
export const wholeNumber =
  (max: number) =>
  (text: string): number => {
    if (!/^\d+$/.test(text) || Number(text) > max) throw new InvalidArgumentError(`a whole number from 0 to ${max} is expected`);
    return Number(text);
  };

/** PostgreSQL's `integer`, which numbers of accounts are. */
export const MAX_ID = 2_147_483_647;
/** A hundred years: nothing here is older, and a moment that much earlier is one that PostgreSQL has (it has none before 4713 BC). */
export const MAX_AGE_DAYS = 36_500;
/** The same age in minutes. */
export const MAX_AGE_MINUTES = MAX_AGE_DAYS * 24 * 60;

/** The URL of the database. @throws {Refusal} where none is set */
export function requireDatabase(): string {
  if (settings.DATABASE_URL === undefined) throw new Refusal('DATABASE_URL is not set, and no npm start runs in this folder');
  return settings.DATABASE_URL;
}

/** Makes sure that there is a Redis. @throws {Refusal} where none is set */
export function requireRedis(): void {
  if (settings.REDIS_URL === undefined) throw new Refusal('REDIS_URL is not set, and no npm start runs in this folder');
}
