// vCards that people store: what one must be, and the form in which it is kept. The grammar is that of RFC 6350 section 3.3, and for version 2.1
// what phones and Outlook write. Every step costs time in proportion to the card's length; nothing but the body's limit bounds that.
import type { Message, MessageKey } from '../../i18n';
import {
  BLANK_CODES,
  codesOf,
  decodeQuotedPrintable,
  endOf,
  fold,
  foldQuotedPrintable,
  KeptLines,
  LineReader,
  NAME_CODES,
  type Encoding,
} from './vcard-lines';
import {
  ENCODINGS,
  MAX_KNOWN_CHARACTERS,
  PARAMETERS,
  PROPERTIES,
  REQUIRED,
  UNALTERABLE,
  VERSIONS,
  type PropertyRules,
  type Version,
} from './vcard-rules';

/** What an index of PostgreSQL can surely hold. */
const MAX_UID_CHARACTERS = 255;
/** Of a UID, for each character: quoted-printable of four octets in UTF-8. */
const MAX_WRITTEN_CHARACTERS = 12;
/** Of a line at fault, what the answer quotes. */
const MAX_QUOTED_CHARACTERS = 40;

// eslint-disable-next-line no-control-regex -- control characters are what it looks for
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f]/;
const CUT_CHARACTER = /[\ud800-\udbff]$/;
const HALF_CHARACTER = /\p{Surrogate}/u;
const NOT_ASCII = /[\u0080-\uffff]/;
// eslint-disable-next-line no-control-regex -- as above
const UNQUOTABLE = /[\u0000-\u001f\u007f]|\p{Surrogate}/gu;

/** Of names in version 2.1: all of ASCII but what stands between them. */
const WORD_CODES = codesOf(
  Array.from({ length: 94 }, (_, index) => String.fromCharCode(index + 0x21))
    .filter((character) => !'[]=:.,;"'.includes(character))
    .join(''),
);
/** What ends a parameter's value without quotes. */
const END_CODES = codesOf('",:;');

/** A card that may be stored. */
export interface Vcard {
  /** Unescaped. */
  uid: string;
  /** Normalised: lines end with LF, `VERSION` first, no empty lines; folded at 75 octets, but of version 2.1 as it came. */
  text: string;
}

class Refusal extends Error {
  constructor(readonly reason: Message) {
    super(reason.key);
  }
}

function quote(line: string): string {
  const [first = ''] = line.slice(0, MAX_QUOTED_CHARACTERS + 1).split('\n', 1);
  const end = first.length > MAX_QUOTED_CHARACTERS ? first.slice(0, MAX_QUOTED_CHARACTERS).replace(CUT_CHARACTER, '') : first;
  return end.replaceAll(UNQUOTABLE, '\ufffd') + (end.length < line.length ? '…' : '');
}

/** Names the line as it came, and quotes how it begins. */
const refuse = (key: MessageKey, number: number, line: string, values: Message['values'] = {}): Refusal =>
  new Refusal({ key, values: { attribute: 'vcard', line: number, text: quote(line), ...values } });

const upperName = (line: string, start: number, end: number): string =>
  end - start > MAX_KNOWN_CHARACTERS ? '' : line.slice(start, end).toUpperCase();

function endOfPlainValue(text: string, start: number): number {
  let at = start;
  for (let code = text.charCodeAt(at); at < text.length && !(code < END_CODES.length && END_CODES[code] === 1); code = text.charCodeAt(at))
    at += 1;
  return at;
}

const unescapeText = (text: string): string =>
  text.replaceAll(/\\([\\,;nN])/g, (_, character: string) => (character.toLowerCase() === 'n' ? '\n' : character));

/** Reads one card. */
class CardReader {
  readonly #lines: LineReader;
  readonly #hasHalves: boolean;
  /** Of each property that may be there once, and was, the ALTID of its first instance. */
  readonly #once = new Map<string, string | undefined>();
  /** What versions forbid, of each the first: which version this is may stand behind it. */
  readonly #faults = new Map<Version, Refusal>();
  /** Cards in this one, that are not at their end yet. */
  #depth = 0;
  /** Whether the property before was an AGENT whose card follows. */
  #isAgentOpen = false;
  #version: Version = '4.0';
  #uid = '';
  /** The card's lines but VERSION as they came; and put together and folded our way. */
  readonly #raw: KeptLines;
  readonly #folded: KeptLines;
  /** The line of VERSION, in both ways. */
  #versionLine = { raw: '', folded: '' };

  /** Of the property that is read. */
  #name = '';
  #rules: PropertyRules | undefined;
  #encoding: Encoding = 'plain';
  #charset = '';
  #altid: string | undefined;

  /**
   * @param text its lines end with LF, and it ends with no white space
   * @param start where the card begins
   */
  constructor(text: string, start: number) {
    this.#lines = new LineReader(text, start, lineNumber(text, start));
    this.#raw = new KeptLines(text);
    this.#folded = new KeptLines(text);
    // A fold may have cut a character.
    this.#hasHalves = NOT_ASCII.test(text) && HALF_CHARACTER.test(text);
  }

  #refuse(key: MessageKey, values?: Message['values']): Refusal {
    return refuse(key, this.#lines.number, this.#lines.raw, values);
  }

  #forbid(versions: readonly Version[], key: MessageKey, values?: Message['values']): void {
    for (const version of versions) if (!this.#faults.has(version)) this.#faults.set(version, this.#refuse(key, values));
  }

  /** What only version 2.1 has. */
  #forbidSince3(): void {
    this.#forbid(['3.0', '4.0'], 'vcard.line');
  }

  /** @throws {Refusal} */
  read(): Vcard {
    const first = this.#lines.take() ?? '';
    if (!this.#isBorder('BEGIN', first)) throw this.#refuse('vcard.begin');
    for (let isEnd = false; !isEnd;) {
      const line = this.#lines.take();
      if (line === undefined) throw this.#refuse('vcard.end');
      isEnd = this.#readLine(line);
    }
    const missing = REQUIRED.find(([name]) => !this.#once.has(name));
    const incomplete = missing && this.#refuse('vcard.missing', { property: missing[0], section: missing[1] });
    const more = this.#lines.take();
    if (more !== undefined) throw this.#refuse(this.#isBorder('BEGIN', more) ? 'vcard.one' : 'vcard.after_end');
    const fault = this.#faults.get(this.#version) ?? incomplete;
    if (fault) throw fault;
    // Where a long line of version 2.1 may be folded depends on its value, and white space stays there: programs differ in how they read that.
    const way = this.#version === '2.1' ? 'raw' : 'folded';
    const lines = way === 'raw' ? this.#raw : this.#folded;
    return { uid: this.#uid, text: `BEGIN:VCARD\n${this.#versionLine[way]}\n${lines.toString()}END:VCARD\n` };
  }

  #isBorder(name: 'BEGIN' | 'END', line: string): boolean {
    const [property = '', value = ''] = line.slice(0, MAX_QUOTED_CHARACTERS).toUpperCase().split(':', 2);
    return property.trim() === name && value.trim() === 'VCARD';
  }

  /** @returns whether it was the last of the card */
  #readLine(line: string): boolean {
    const valueAt = this.#readHead(line);
    const whole = this.#takeRest(line, valueAt);
    const name = this.#name;
    if (name === 'END') {
      if (!this.#isBorder('END', whole)) throw this.#refuse('vcard.end');
      if (this.#depth === 0) return true;
      this.#depth -= 1;
    } else if (name === 'BEGIN') {
      if (!this.#isAgentOpen || !this.#isBorder('BEGIN', whole)) throw this.#refuse('vcard.one');
      this.#beginNested();
    }
    this.#isAgentOpen = false;
    if (name === 'AGENT')
      this.#readAgent(
        whole
          .slice(valueAt, valueAt + MAX_QUOTED_CHARACTERS)
          .trim()
          .toUpperCase(),
      );
    else if (this.#rules && this.#depth === 0) this.#readValue(this.#rules, whole.slice(valueAt));
    this.#keep(whole, valueAt);
    return false;
  }

  /** Takes the lines that belong to the value by how it is written. @returns the whole line */
  #takeRest(line: string, valueAt: number): string {
    if (this.#encoding === 'plain') return line;
    return this.#encoding === 'base64' ? this.#lines.takeBase64() : this.#lines.takeQuotedPrintable(valueAt);
  }

  #keep(line: string, valueAt: number): void {
    const { start, end } = this.#lines;
    if (this.#hasHalves) {
      if (HALF_CHARACTER.test(line)) this.#forbid(VERSIONS, 'vcard.characters');
      else if (HALF_CHARACTER.test(this.#lines.raw)) this.#forbid(['2.1'], 'vcard.characters');
    }
    const folded = this.#encoding === 'quoted-printable' ? foldQuotedPrintable(line, valueAt) : fold(line);
    if (this.#name === 'VERSION' && this.#depth === 0) {
      this.#versionLine = { raw: this.#lines.raw, folded };
      return;
    }
    this.#raw.copy(start, end);
    // Neither unfolded nor folded.
    if (line.length === end - start && folded.length === line.length) this.#folded.copy(start, end);
    else this.#folded.add(folded);
  }

  /** In version 2.1 a card may stand behind the colon of AGENT; later ones write it as a text. */
  #readAgent(value: string): void {
    if (value === '') this.#isAgentOpen = true;
    else if (value === 'BEGIN:VCARD') this.#beginNested();
  }

  #beginNested(): void {
    this.#depth += 1;
    this.#forbid(['3.0', '4.0'], 'vcard.nested');
  }

  #readValue({ once, components }: PropertyRules, value: string): void {
    const property = this.#name;
    if (components !== undefined && value === '') this.#forbid(['4.0'], 'vcard.components', { property, section: components });
    if (once === undefined) return;
    if (!this.#once.has(property)) {
      this.#once.set(property, this.#altid);
      if (property === 'VERSION') this.#readVersion(value.trim());
      if (property === 'UID') this.#readUid(value.trim());
      return;
    }
    // Alternatives of one another count as one (RFC 6350 section 5.4); versions before know none.
    const isAlternative = this.#altid !== undefined && this.#altid === this.#once.get(property) && !UNALTERABLE.has(property);
    const key = property === 'FN' ? 'vcard.one_name' : 'vcard.once';
    this.#forbid(isAlternative ? ['2.1', '3.0'] : VERSIONS, key, { property, section: once });
  }

  #readVersion(value: string): void {
    const version = VERSIONS.find((known) => known === value);
    if (!version) throw this.#refuse('vcard.version');
    this.#version = version;
  }

  #readUid(value: string): void {
    const tooLong = (): Refusal => this.#refuse('vcard.uid_long', { limit: MAX_UID_CHARACTERS });
    if (value.length > MAX_WRITTEN_CHARACTERS * MAX_UID_CHARACTERS) throw tooLong();
    const text = this.#encoding === 'quoted-printable' ? decodeQuotedPrintable(value, this.#charset) : value;
    this.#uid = unescapeText(text).trim();
    if (this.#uid === '') throw this.#refuse('vcard.uid');
    if (this.#uid.length > MAX_UID_CHARACTERS) throw tooLong();
    if (CONTROL.test(this.#uid)) throw this.#refuse('vcard.characters');
  }

  /** `group.NAME;PARAMETER=value,"value":`; a colon in quotes is part of a parameter's value. @returns where the value begins */
  #readHead(line: string): number {
    let start = 0;
    let at = this.#endOfName(line, start);
    while (line[at] === '.' && at > start) {
      // Groups in groups.
      if (start > 0) this.#forbidSince3();
      start = at + 1;
      at = this.#endOfName(line, start);
    }
    if (at === start) throw this.#refuse('vcard.line');
    this.#name = upperName(line, start, at);
    this.#rules = PROPERTIES.get(this.#name);
    this.#encoding = 'plain';
    this.#charset = '';
    this.#altid = undefined;
    at = this.#skipSpace(line, at);
    while (line[at] === ';') at = this.#readParameter(line, this.#skipSpace(line, at + 1));
    if (line[at] !== ':') throw this.#refuse('vcard.line');
    return at + 1;
  }

  /** Version 2.1 has almost all of ASCII in names. */
  #endOfName(line: string, start: number): number {
    const end = endOf(NAME_CODES, line, start);
    const wordEnd = endOf(WORD_CODES, line, end);
    if (wordEnd > end) this.#forbidSince3();
    return wordEnd;
  }

  /** Version 2.1 has white space around names. */
  #skipSpace(line: string, start: number): number {
    const end = endOf(BLANK_CODES, line, start);
    if (end > start) this.#forbidSince3();
    return end;
  }

  /** @returns where the parameter ends */
  #readParameter(line: string, start: number): number {
    const nameEnd = this.#endOfName(line, start);
    const at = this.#skipSpace(line, nameEnd);
    if (line[at] !== '=') return this.#readWord(line, start, nameEnd, at);
    if (nameEnd === start) throw this.#refuse('vcard.line');
    const end = this.#endOfValues(line, at + 1);
    const name = upperName(line, start, nameEnd);
    const rules = PARAMETERS.get(name);
    if (rules || name === 'ENCODING' || name === 'CHARSET') {
      const value = line.slice(at + 1, end).replaceAll('"', '');
      if (name === 'ENCODING') this.#encoding = ENCODINGS.get(value.toUpperCase()) ?? 'plain';
      if (name === 'CHARSET') this.#charset = value;
      if (name === 'ALTID') this.#altid = value;
      if (rules && name === 'SORT-AS' && this.#rules?.sortable === false) {
        this.#forbid(['4.0'], 'vcard.misplaced', { property: this.#name, parameter: name, section: rules.section });
      }
      if (rules?.values && this.#rules && value !== '' && !rules.values.test(value)) {
        this.#forbid(['4.0'], 'vcard.parameter', { parameter: name, section: rules.section });
      }
    }
    return end;
  }

  /** A parameter without a value: in version 2.1 the value of one without a name. @returns where it ends */
  #readWord(line: string, start: number, nameEnd: number, behind: number): number {
    let at = behind;
    while (at < line.length && line[at] !== ';' && line[at] !== ':') at += 1;
    // Phones write names of their own there, of any characters.
    if (nameEnd === start || at > behind) this.#forbidSince3();
    else {
      const name = upperName(line, start, nameEnd);
      this.#encoding = name === 'B' ? this.#encoding : (ENCODINGS.get(name) ?? this.#encoding);
      if (this.#rules && PARAMETERS.has(name)) this.#forbid(['4.0'], 'vcard.no_value', { parameter: name });
    }
    return at;
  }

  #endOfValues(line: string, start: number): number {
    let at = start - 1;
    do {
      at += 1;
      if (line[at] === '"') {
        const end = line.indexOf('"', at + 1);
        if (end < 0) throw this.#refuse('vcard.quote');
        at = end + 1;
      } else at = endOfPlainValue(line, at);
      while (at < line.length && line[at] !== ',' && line[at] !== ';' && line[at] !== ':') {
        // In version 2.1 a quotation mark is a character as others are.
        this.#forbidSince3();
        at = endOfPlainValue(line, at + 1);
      }
    } while (line[at] === ',');
    return at;
  }
}

/**
 * The text with LF for line ends: for CR LF, for CR CR LF that programs make of it in text files, and for CR where there is no LF, as in files of
 * old Macintosh.
 */
function withPlainLineEnds(text: string): string {
  if (!text.includes('\r')) return text;
  // A third of what replaceAll() takes.
  const replaced = (whole: string, lineEnd: string): string => whole.split(lineEnd).join('\n');
  return text.includes('\n') ? replaced(replaced(text, '\r\n'), '\r\n') : replaced(text, '\r');
}

/** The number of the line in which a place is. */
function lineNumber(text: string, place: number): number {
  let number = 1;
  for (let at = text.indexOf('\n'); at >= 0 && at < place; at = text.indexOf('\n', at + 1)) number += 1;
  return number;
}

function readVcard(text: string): Vcard {
  const plain = withPlainLineEnds(text).trimEnd();
  const fault = CONTROL.exec(plain);
  if (fault) {
    const lineAt = plain.lastIndexOf('\n', fault.index) + 1;
    const [line = ''] = plain.slice(lineAt).split('\n', 1);
    throw refuse('vcard.characters', lineNumber(plain, lineAt), line);
  }
  // A byte order mark is white space, too.
  return new CardReader(plain, plain.length - plain.trimStart().length).read();
}

/**
 * Reads one vCard of version 2.1, 3.0 or 4.0 with exactly one FN and one UID.
 *
 * @returns its UID and normalised text; or `refused`: the line that is wrong, and by which rule, in words for the caller
 */
export function parseVcard(text: string): Vcard | { refused: Message } {
  try {
    return readVcard(text);
  } catch (error) {
    if (error instanceof Refusal) return { refused: error.reason };
    throw error;
  }
}
