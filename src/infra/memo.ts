// Answers of a function that are asked for again and again, with the same few texts.

/**
 * Remembers what a function made of a text. Clients say nearly always the same: one that sends ever new texts has all of them forgotten, and costs no
 * more than the function itself.
 *
 * @param work whose result depends on the text alone, and is not changed by who gets it
 * @param limit of texts that are remembered
 */
export function memoized<Result>(work: (text: string) => Result, limit = 500): (text: string) => Result {
  const known = new Map<string, Result>();
  return (text) => {
    const found = known.get(text);
    if (found !== undefined || known.has(text)) return found as Result;
    const made = work(text);
    if (known.size >= limit) known.clear();
    known.set(text, made);
    return made;
  };
}
