// Lists with weights, and media types with parameters, as headers have them (RFC 9110, sections 5.6.1, 5.6.6 and 12.4.2).
import { LANGUAGES, type Language } from '../i18n';

/** `text/html;level=1`, or a language. */
interface Item {
  /** In lower case. */
  value: string;
  /** Names in lower case, values without quotes; what has no `=` is none. */
  parameters: Map<string, string>;
}

/** Splits where the separator stands outside of quotes. */
function split(text: string, separator: string): string[] {
  const parts: string[] = [];
  let start = 0;
  let isQuoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const letter = text[at];
    if (letter === '"') isQuoted = !isQuoted;
    else if (isQuoted && letter === '\\') at += 1;
    else if (!isQuoted && letter === separator) {
      parts.push(text.slice(start, at));
      start = at + 1;
    }
  }
  parts.push(text.slice(start));
  return parts.map((part) => part.trim());
}

function parseItem(text: string): Item {
  const [value = '', ...rest] = split(text, ';');
  const parameters = new Map<string, string>();
  for (const part of rest) {
    const equals = part.indexOf('=');
    if (equals <= 0) continue;
    const given = part.slice(equals + 1).trim();
    const isQuoted = given.startsWith('"') && given.endsWith('"') && given.length > 1;
    parameters.set(part.slice(0, equals).trim().toLowerCase(), isQuoted ? given.slice(1, -1).replace(/\\(.)/g, '$1') : given);
  }
  return { value: value.toLowerCase(), parameters };
}

/** Members of a list, empty ones left out. A weight that is none is 1: whoever sends it wants the thing. */
const parseList = (header: string): (Item & { weight: number })[] =>
  split(header, ',')
    .filter((member) => member !== '')
    .map((member) => {
      const item = parseItem(member);
      const weight = Number(item.parameters.get('q') ?? 1);
      return { ...item, weight: weight >= 0 && weight <= 1 ? weight : 1 };
    });

/** A media type with its parameters, of which nothing is checked; undefined where there is none. */
export const parseMediaType = (header: string | undefined): Item | undefined =>
  header === undefined || header.trim() === '' ? undefined : parseItem(header);

/**
 * The type that the client likes best (RFC 9110, section 12.5.1). A parameter does not make a range another one: what clients say with it (`indent=4`,
 * `odata=verbose`, `charset=utf-8`) is a wish about the text of the type.
 *
 * @param accept the header; one that names no range at all says nothing
 * @param types in our own order of preference
 * @returns undefined where it admits none of them
 */
export function preferredType<Type extends string>(accept: string | undefined, types: readonly Type[]): Type | undefined {
  const ranges = parseList(accept ?? '')
    // As Java's HttpURLConnection sends it.
    .map((range) => (range.value === '*' ? { ...range, value: '*/*' } : range))
    .filter(({ value }) => /^[^/\s]+\/[^/\s]+$/.test(value));
  if (ranges.length === 0) return types[0];
  const placeOf = (type: string, weight: number, isExact: boolean, index: number) => ({ type, weight, isExact, index });
  const wanted = types.map((type) => {
    for (const value of [type, `${type.split('/', 1)[0]}/*`, '*/*']) {
      const matching = ranges.filter((range) => range.value === value);
      // One without parameters means the type as such.
      const bare = matching.filter(({ parameters }) => parameters.size === 0 || (parameters.size === 1 && parameters.has('q')));
      const [best] = (bare.length > 0 ? bare : matching).toSorted((a, b) => b.weight - a.weight);
      if (best) return placeOf(type, best.weight, value === type, ranges.indexOf(best));
    }
    return placeOf(type, 0, false, 0);
  });
  const [first] = wanted
    .filter(({ weight }) => weight > 0)
    .toSorted((a, b) => b.weight - a.weight || Number(b.isExact) - Number(a.isExact) || a.index - b.index);
  return first?.type as Type | undefined;
}

/**
 * The best of our languages (RFC 9110, section 12.5.4), regions ignored, also where they are written as operating systems do (`fr_FR`).
 *
 * @returns English where none fits
 */
export function preferredLanguage(acceptLanguage: string | undefined): Language {
  const ranges = parseList(acceptLanguage ?? '').toSorted((a, b) => b.weight - a.weight);
  const languageOf = ({ value }: Item): Language | undefined => LANGUAGES.find((language) => language === value.split(/[-_]/, 1)[0]);
  const named = new Set(ranges.map(languageOf));
  for (const range of ranges.filter(({ weight }) => weight > 0)) {
    const found = range.value === '*' ? LANGUAGES.find((language) => !named.has(language)) : languageOf(range);
    if (found) return found;
  }
  return 'en';
}
