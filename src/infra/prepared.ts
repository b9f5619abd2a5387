// Names of prepared statements: a statement that a session has under a name is neither parsed nor planned again. Only sessions of our own have any
// (postgres-client.ts), unless DATABASE_PREPARED_STATEMENTS says otherwise.
import { createHash } from 'node:crypto';
import { settings } from '../../config';
import { log } from './log';

/** Texts that are named. All of the program's own are far fewer; those that are put together at run time must not fill every session's memory. */
const MAX_NAMES = 300;
/** A plan that is kept does not know how many rows are wanted, and takes it for a tenth of all. */
const WANTS_SOME = /\b(?:LIMIT|OFFSET)\s+\$\d/i;

const names = new Map<string, string | undefined>();

/** Changes whenever what sessions have prepared is of no use any more. */
let generation = 0;
/** Behind a pooler that turned out not to bear names. */
let isGivenUp = false;

/**
 * The name of a statement, the same in every process: a pooler that gives several of them one session mixes nothing up.
 *
 * @returns undefined where it is better planned each time
 */
export function statementName(sql: string): string | undefined {
  const known = names.get(sql);
  if (known !== undefined || names.has(sql) || names.size >= MAX_NAMES) return known;
  const name = WANTS_SOME.test(sql) ? undefined : createHash('sha256').update(sql).digest('base64url').slice(0, 22);
  names.set(sql, name);
  return name;
}

/** What a session that begins now may name its statements by, as long as mayName() says so. @param isOwn whether the session is this client's alone */
export function newNaming(isOwn: boolean): Naming | undefined {
  const { DATABASE_PREPARED_STATEMENTS: wanted } = settings;
  return wanted === 'on' || (wanted === 'auto' && isOwn) ? { generation, isOwn } : undefined;
}
/** Of a session. */
export interface Naming {
  generation: number;
  isOwn: boolean;
}

/** Whether what the session has prepared is still of use. */
export const mayName = (naming: Naming): boolean => naming.generation === generation && (naming.isOwn || !isGivenUp);

/** 26000: there is none of that name, 42P05: there is one already. Both are said before anything is carried out. */
const STALE = /^(26000|42P05)$/;

/**
 * Whether a statement failed because what is prepared under its name is not what it should be: after a migration (a result of other columns), after
 * DISCARD ALL, behind a pooler. Nothing was carried out. What the sessions of this process have prepared is given up then: a migration that changes
 * one table changes it for all of them.
 *
 * @param error pg's own
 */
export function isStaleStatement(error: unknown): boolean {
  const { code, routine } = (error ?? {}) as { code?: unknown; routine?: unknown };
  // «cached plan must not change result type» by the function that says so: the message may be in any language.
  return (typeof code === 'string' && STALE.test(code)) || (code === '0A000' && routine === 'RevalidateCachedQuery');
}

/** From now on no session is asked for what it has prepared until now. @param naming of the session that has failed */
export function forgetPrepared(naming: Naming): void {
  if (!mayName(naming)) return;
  if (naming.isOwn) {
    generation += 1;
    log.info('prepared statements are out of date: connections are made anew');
  } else {
    isGivenUp = true;
    log.warn(
      'the pooler in front of PostgreSQL does not keep prepared statements: DATABASE_PREPARED_STATEMENTS=on is not followed any more',
    );
  }
}
