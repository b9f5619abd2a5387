// Regular expressions that operators set. Nobody judges them beforehand, so what runs them is bounded: 64 characters, and where those could be enough
// to keep a pattern busy, a limit of time.
import { createContext, Script, type Context } from 'node:vm';

/** Longer texts are not shown to a pattern of an operator's. */
const MAX_MATCHED_CHARACTERS = 64;
const TIMEOUT_MS = 20;
/** What a pattern may use of the processor: on a busy machine time passes while nothing is done. */
const MAX_CPU_MS = 15;
const MAX_TRIES = 10;

/** A group that is repeated, a reference back, or three parts without an upper limit: of 64 characters these may make millions of steps. */
const REPEATED_GROUP = /\)[*+{]/;
const BACK_REFERENCE = /\\[1-9k]/;
const UNLIMITED = /[*+]|,\}/g;
const MAX_UNLIMITED_PARTS = 2;

const isQuick = (source: string): boolean =>
  !REPEATED_GROUP.test(source) && !BACK_REFERENCE.test(source) && [...source.matchAll(UNLIMITED)].length <= MAX_UNLIMITED_PARTS;

let timed: { script: Script; context: Context } | undefined;

/** @returns undefined where it took too long */
function testWithTimeout(pattern: RegExp, text: string): boolean | undefined {
  timed ??= { script: new Script('pattern.test(text)'), context: createContext() };
  Object.assign(timed.context, { pattern, text });
  const before = process.cpuUsage();
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    try {
      return timed.script.runInContext(timed.context, { timeout: TIMEOUT_MS }) as boolean;
    } catch {
      const { user, system } = process.cpuUsage(before);
      if ((user + system) / 1000 > MAX_CPU_MS) return undefined;
    }
  }
  return undefined;
}

/**
 * @param source what the operator wrote
 * @param flags of a RegExp
 * @returns whether a text of at most MAX_MATCHED_CHARACTERS fits; undefined where the pattern needs too long for it, or the text is longer
 * @throws {SyntaxError} for what is no regular expression
 */
export function operatorPattern(source: string, flags = ''): (text: string) => boolean | undefined {
  const pattern = new RegExp(source, flags);
  const quick = isQuick(source);
  return (text) => {
    if (text.length > MAX_MATCHED_CHARACTERS) return undefined;
    return quick ? pattern.test(text) : testWithTimeout(pattern, text);
  };
}
