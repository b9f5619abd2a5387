// flexisip.conf as Flexisip reads it, and changed without touching anything that is not meant. No library of INI files does: Flexisip's own reader has no
// quotes, no continued lines and no comments behind a value, takes names in any letter case, and joins sections that come twice.

/** A line with what ends it. */
interface Line {
  text: string;
  /** `\n`, `\r\n`, or nothing at the end of a file. */
  end: string;
}

/** A parameter where it stands. */
interface Found {
  section: string;
  name: string;
  value: string;
  /** Of `lines`. */
  index: number;
}

/** What a parameter is to be. */
export interface Parameter {
  section: string;
  name: string;
  /** Older names of the same: where a file has one of them and not `name`, that one is changed. */
  aliases?: readonly string[];
  value: string;
  /** `always` where left out; `if-absent`: a value that is there stays; `if-set`: it is changed where there is one, and not added. */
  when?: 'always' | 'if-absent' | 'if-set';
}

/** Bytes are characters here, so that a file of whatever encoding stays as it is. */
const asBytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
const asText = (bytes: string): string => Buffer.from(bytes, 'latin1').toString('utf8');

const linesOf = (bytes: string): Line[] =>
  (bytes.match(/[^\n]*\n|[^\n]+$/g) ?? []).map((whole) => {
    const end = /\r?\n$/.exec(whole)?.[0] ?? '';
    return { text: whole.slice(0, whole.length - end.length), end };
  });

const isComment = (text: string): boolean => /^ *#/.test(text);
/** Blanks alone: a tabulator is a part of what stands beside it, as Flexisip has it. */
function trimBlanks(text: string): string {
  let [from, to] = [0, text.length];
  while (from < to && text[from] === ' ') from += 1;
  while (to > from && text[to - 1] === ' ') to -= 1;
  return text.slice(from, to);
}
const firstWord = (text: string): string => text.trim().split(/\s/, 1)[0] ?? '';
const isBracket = (text: string): boolean => /^ *\[/.test(text);
function sectionOf(text: string): string | undefined {
  const end = text.indexOf(']');
  const name = isBracket(text) && end > 0 ? firstWord(text.slice(text.indexOf('[') + 1, end)) : '';
  return name === '' ? undefined : name;
}
function parameterOf(text: string): { name: string; value: string } | undefined {
  const at = text.indexOf('=');
  const name = at < 0 ? '' : firstWord(text.slice(0, at));
  return name === '' ? undefined : { name, value: trimBlanks(text.slice(at + 1)) };
}
/** The parameter that a comment shows, as files that Flexisip makes show defaults: `#name=value`. */
const shownIn = (comment: string): string | undefined => parameterOf(comment.slice(comment.indexOf('#') + 1))?.name;
const same = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase();

/** A flexisip.conf. */
export class ConfFile {
  readonly #lines: Line[];

  constructor(content: Buffer) {
    this.#lines = linesOf(content.toString('latin1'));
  }

  /** All parameters in their order, with the section that they count for. */
  #parameters(): Found[] {
    const found: Found[] = [];
    let section: string | undefined;
    this.#lines.forEach(({ text }, index) => {
      if (isComment(text)) return;
      const opened = sectionOf(text);
      if (opened !== undefined) section = opened;
      else if (!isBracket(text) && section !== undefined) {
        const parameter = parameterOf(text);
        if (parameter) found.push({ section, index, ...parameter });
      }
    });
    return found;
  }

  #find(section: string, names: readonly string[]): Found[] {
    return this.#parameters().filter((each) => same(each.section, section) && names.some((name) => same(each.name, name)));
  }

  /** A parameter's value as Flexisip takes it: an empty one counts as none. */
  get(section: string, ...names: string[]): string | undefined {
    const value = this.#find(section, names).find((each) => each.value !== '')?.value;
    return value === undefined ? undefined : asText(value);
  }

  /** Parameters that come twice in a section, as `[section] name`: with these Flexisip 2.4 and later do not start. */
  get repeated(): string[] {
    const seen = new Set<string>();
    const repeated = new Set<string>();
    for (const { section, name } of this.#parameters()) {
      const key = `[${section}] ${name}`.toLowerCase();
      if (seen.has(key)) repeated.add(asText(`[${section}] ${name}`));
      seen.add(key);
    }
    return [...repeated];
  }

  /**
   * Gives a parameter its value. What is right already stays byte for byte; one that is missing comes behind the comment that shows its default, or behind the
   * last parameter of its section, which is made at the end of the file where there is none.
   *
   * @returns whether anything changed
   * @throws {Error} for a value with a line end in it
   */
  set({ section, name, aliases = [], value, when = 'always' }: Parameter): boolean {
    if (/[\r\n\0]/.test(value)) throw new Error(`[${section}] ${name}: a value has no line ends`);
    const bytes = asBytes(value);
    const own = this.#find(section, [name]);
    const found = own.length > 0 ? own : this.#find(section, aliases);
    if (when === 'if-set' && found.every((each) => each.value === '')) return false;
    if (found.length === 0) {
      this.#add(section, `${name}=${bytes}`, name);
      return true;
    }
    if (when === 'if-absent' && found.some((each) => each.value !== '')) return false;
    let changed = false;
    for (const { index, value: before } of found) {
      const line = this.#lines[index];
      if (before === bytes || !line) continue;
      line.text = `${/^[^=]*= */.exec(line.text)?.[0] ?? ''}${bytes}`;
      changed = true;
    }
    return changed;
  }

  #add(section: string, text: string, name: string): void {
    const place = this.#placeIn(section, name);
    const eol = this.#lines.find(({ end }) => end !== '')?.end ?? '\n';
    if (place === undefined) {
      const last = this.#lines.at(-1);
      if (last && last.end === '') last.end = eol;
      if (last && last.text !== '') this.#lines.push({ text: '', end: eol });
      this.#lines.push({ text: `[${section}]`, end: eol }, { text, end: eol });
      return;
    }
    const before = this.#lines[place];
    // The last line of a file without one stays so.
    const end = before?.end ?? eol;
    if (before && end === '') before.end = eol;
    this.#lines.splice(place + 1, 0, { text, end });
  }

  /** The line behind which a parameter is added; undefined: there is no such section. */
  #placeIn(section: string, name: string): number | undefined {
    let place: number | undefined;
    let current = '';
    let isFirst = true;
    for (const [index, { text }] of this.#lines.entries()) {
      const opened = isComment(text) ? undefined : sectionOf(text);
      if (opened !== undefined) {
        if (same(current, section)) isFirst = false;
        current = opened;
        if (same(opened, section) && isFirst) place ??= index;
      } else if (same(current, section)) {
        const shown = isComment(text) ? shownIn(text) : undefined;
        if (shown !== undefined && same(shown, name)) return index;
        if (isFirst && !isComment(text) && parameterOf(text)) place = index;
      }
    }
    return place;
  }

  /** The file's bytes. */
  get content(): Buffer {
    return Buffer.from(this.#lines.map(({ text, end }) => text + end).join(''), 'latin1');
  }
}
