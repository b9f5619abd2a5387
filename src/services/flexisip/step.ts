// What a check says of one thing that Flexisip does.

/** `warning`: it works, and somebody should know; `skipped`: it could not be looked at, for the reason that is given. */
export type Verdict = 'ok' | 'warning' | 'wrong' | 'skipped';

/** One thing that was looked at. */
export interface Step {
  step: string;
  verdict: Verdict;
  /** What was found. */
  found: string;
  /** What to do about it. */
  todo?: string;
}

/** Makes steps of one part. */
export const stepsOf = (part: string): Record<Verdict, (name: string, found: string, todo?: string) => Step> => {
  const make =
    (verdict: Verdict) =>
    (name: string, found: string, todo?: string): Step => ({
      step: `${part}: ${name}`,
      verdict,
      found,
      ...(todo === undefined ? {} : { todo }),
    });
  return { ok: make('ok'), warning: make('warning'), wrong: make('wrong'), skipped: make('skipped') };
};

/** `1 domain`, `2 domains`. */
export const counted = (number: number, what: string): string => `${number} ${what}${number === 1 ? '' : 's'}`;

const MAX_CHARACTERS = 300;

/** Somebody else's words as a part of a line. */
export function quoted(text: string): string {
  const line = text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ').trim();
  return line.length > MAX_CHARACTERS ? `${line.slice(0, MAX_CHARACTERS)}…` : line;
}
