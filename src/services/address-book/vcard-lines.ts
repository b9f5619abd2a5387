// Lines of vCards: how long ones are folded, and how they are put together again.

/** RFC 6350 section 3.2. */
const MAX_LINE_OCTETS = 75;
/** Of UTF-8, for each of a string's 16-bit units. */
const MAX_OCTETS_PER_UNIT = 3;

const LF = 0x0a;
const EQUALS = 0x3d;
const UPPER_E = 0x45;
const LOWER_E = 0x65;
/** RFC 6350 section 3.2. */
const FOLD = /\n[ \t]/g;
/** RFC 2045 section 6.7, and the indentation that programs add to it. */
const SOFT_BREAK = /=[ \t]*\n[ \t]?/g;
const LINE_BREAK = /\n[ \t]?/g;
const isBlank = (code: number): boolean => code === 0x20 || code === 0x09;

/** The characters of a text, by their codes; others than ASCII's are none. */
export function codesOf(characters: string): Uint8Array {
  const codes = new Uint8Array(128);
  for (const character of characters) codes[character.charCodeAt(0)] = 1;
  return codes;
}
const LETTERS_AND_DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
/** Of names of properties, groups and parameters. */
export const NAME_CODES = codesOf(`${LETTERS_AND_DIGITS}-`);
/** Of white space inside a line. */
export const BLANK_CODES = codesOf(' \t');
const BASE64_CODES = codesOf(`${LETTERS_AND_DIGITS}+/= \t`);

/** Where the characters of a kind end that begin at `start`. */
export function endOf(codes: Uint8Array, text: string, start: number): number {
  let at = start;
  // Other indices than those of the array make it slow.
  for (let code = text.charCodeAt(at); code < codes.length && codes[code] === 1; code = text.charCodeAt(at)) at += 1;
  return at;
}

/** How a value is written (RFC 2045 section 6; of vCards of version 4.0 none is). */
export type Encoding = 'plain' | 'quoted-printable' | 'base64';

/** Whether an octet of UTF-8 continues a character. */
const isContinuation = (octet: number | undefined): boolean => octet !== undefined && (octet & 0xc0) === 0x80;

/** An `=` that is no part of an escape. */
const STRAY_EQUALS = /=(?![\dA-Fa-f]{2})/;

/** A line in pieces of at most 75 octets, no character cut. @param hasEscapes that no escape of quoted-printable is cut, either */
export function fold(line: string, hasEscapes = false): string {
  if (line.length * MAX_OCTETS_PER_UNIT <= MAX_LINE_OCTETS || Buffer.byteLength(line) <= MAX_LINE_OCTETS) return line;
  const octets = Buffer.from(line);
  const pieces: string[] = [];
  for (let start = 0; start < octets.length;) {
    // The space before what goes on is one of the octets.
    let end = start + MAX_LINE_OCTETS - (start === 0 ? 0 : 1);
    while (isContinuation(octets[end])) end -= 1;
    if (hasEscapes && end < octets.length) {
      if (octets[end - 1] === EQUALS) end -= 1;
      else if (octets[end - 2] === EQUALS) end -= 2;
    }
    pieces.push(octets.toString('utf8', start, end));
    start = end;
  }
  return pieces.join('\n ');
}

/** The same of a line whose value is quoted-printable. An `=` before a fold would be a soft line break: where one cannot be told from that, the line stays as long as it is. */
export const foldQuotedPrintable = (line: string, valueAt: number): string =>
  STRAY_EQUALS.test(line.slice(valueAt)) ? line : fold(line, true);

/** Where in a folded text the character is that has this place once it is unfolded. */
function placeInFolded(folded: string, place: number): number {
  let at = place;
  for (let end = folded.indexOf('\n'); end >= 0 && end <= at; end = folded.indexOf('\n', end + 1)) at += 2;
  return at;
}

/**
 * The lines of a text, in which each ends with LF, taken together as they belong together. Numbers of lines begin at 1.
 *
 * Each octet is looked at a few times at most, however the text is cut into lines.
 */
export class LineReader {
  /** Of the first of the lines that were taken. */
  number = 1;
  /** Where in the text what was taken begins and ends. */
  start = 0;
  end = 0;
  readonly #text: string;
  /** Where the line begins that is not taken yet, and its number. */
  #next: number;
  #nextNumber: number;

  /** @param text without white space at its end */
  constructor(text: string, start: number, number: number) {
    this.#text = text;
    this.#next = start;
    this.#nextNumber = number;
  }

  get #hasMore(): boolean {
    return this.#next < this.#text.length;
  }

  get #isFoldNext(): boolean {
    return isBlank(this.#text.charCodeAt(this.#next));
  }

  /** What was taken, as it came. */
  get raw(): string {
    return this.#text.slice(this.start, this.end);
  }

  #takeLine(): void {
    const end = this.#text.indexOf('\n', this.#next);
    this.end = end < 0 ? this.#text.length : end;
    this.#next = this.end + 1;
    this.#nextNumber += 1;
  }

  /**
   * Takes the next line that is not empty, and those folded into it (RFC 6350 section 3.2).
   *
   * @returns what was taken as one line; undefined where nothing is left
   */
  take(): string | undefined {
    for (;;) {
      while (this.#text.charCodeAt(this.#next) === LF) {
        this.#next += 1;
        this.#nextNumber += 1;
      }
      if (!this.#hasMore) return undefined;
      this.start = this.#next;
      this.number = this.#nextNumber;
      this.#takeLine();
      const isFolded = this.#isFoldNext;
      while (this.#isFoldNext) this.#takeLine();
      const raw = this.raw;
      const line = isFolded ? raw.replaceAll(FOLD, '') : raw;
      if (!isBlank(raw.charCodeAt(0)) || line.trim() !== '') return line;
    }
  }

  /** The place of the `=` that ends what was taken; white space behind it may come from mail (RFC 2045 section 6.7). */
  get #softBreak(): number | undefined {
    let at = this.end - 1;
    while (isBlank(this.#text.charCodeAt(at))) at -= 1;
    return this.#text.charCodeAt(at) === EQUALS ? at : undefined;
  }

  /** Whether what follows is nothing that a soft line break may join: programs leave one at the end of a value, too. */
  get #isEndNext(): boolean {
    const code = this.#text.charCodeAt(this.#next);
    // Almost every line is told by its first character.
    if (code !== LF && !isBlank(code) && code !== UPPER_E && code !== LOWER_E) return false;
    const end = this.#text.indexOf('\n', this.#next);
    const line = this.#text.slice(this.#next, Math.min(end < 0 ? this.#text.length : end, this.#next + 'END:VCARD'.length));
    return line.trim() === '' || line.toUpperCase() === 'END:VCARD';
  }

  /** Soft line breaks at the end of a value: they break nothing. */
  #dropDanglingBreaks(valueAt: number): void {
    let end = this.end;
    while (end > valueAt) {
      const code = this.#text.charCodeAt(end - 1);
      if (code !== EQUALS && code !== LF && !isBlank(code)) break;
      end -= 1;
      if (code === EQUALS) this.end = end;
    }
  }

  /**
   * Takes what belongs to a value of quoted-printable: lines behind soft line breaks, indented or not (RFC 2045 section 6.7).
   *
   * @param valueAt where in the unfolded line the value begins
   * @returns the line without breaks
   */
  takeQuotedPrintable(valueAt: number): string {
    const at = placeInFolded(this.raw, valueAt);
    while (this.#hasMore && (this.#isFoldNext || (this.#softBreak !== undefined && !this.#isEndNext))) this.#takeLine();
    this.#dropDanglingBreaks(this.start + at);
    const raw = this.raw;
    if (!raw.includes('\n')) return raw;
    const [head, value] = [raw.slice(0, at), raw.slice(at)];
    return head.replaceAll(FOLD, '') + value.replaceAll(SOFT_BREAK, '').replaceAll(FOLD, '');
  }

  /** Whether what follows is base64 and nothing else: a line that is folded is the next property, whose name may look like it. */
  get #isBase64Next(): boolean {
    const end = endOf(BASE64_CODES, this.#text, this.#next);
    if (end === this.#next || (end < this.#text.length && this.#text.charCodeAt(end) !== LF)) return false;
    let next = end + 1;
    for (;;) {
      const endOfBlanks = endOf(BLANK_CODES, this.#text, next);
      if (endOfBlanks === next || this.#text.charCodeAt(endOfBlanks) !== LF) return endOfBlanks === next;
      next = endOfBlanks + 1;
    }
  }

  /** Takes what belongs to a value of base64: its lines need no indentation, an empty one ends it (vCard 2.1). @returns the line without breaks */
  takeBase64(): string {
    while (this.#isFoldNext || this.#isBase64Next) this.#takeLine();
    const line = this.raw.replaceAll(LINE_BREAK, '');
    if (this.#text.charCodeAt(this.#next) === LF) this.#takeLine();
    return line;
  }
}

/** Lines that are kept of a text. Those that stand together are copied together: of a hundred thousand lines the strings alone would cost. */
export class KeptLines {
  readonly #source: string;
  readonly #parts: string[] = [];
  #start = 0;
  #end = -1;

  constructor(source: string) {
    this.#source = source;
  }

  /** A part of the text, as it is. */
  copy(start: number, end: number): void {
    if (this.#end < 0 || start !== this.#end + 1) {
      this.#flush();
      this.#start = start;
    }
    this.#end = end;
  }

  add(line: string): void {
    this.#flush();
    this.#parts.push(line);
  }

  #flush(): void {
    if (this.#end >= 0) this.#parts.push(this.#source.slice(this.#start, this.#end));
    this.#end = -1;
  }

  /** All of them, each with LF behind it. */
  toString(): string {
    this.#flush();
    return this.#parts.map((part) => `${part}\n`).join('');
  }
}

/** The characters behind the escapes of quoted-printable, in the character set that the property names; UTF-8 where nobody knows that. */
export function decodeQuotedPrintable(text: string, charset: string): string {
  const hexadecimal = text.replaceAll(/=([\dA-Fa-f]{2})|=|[^=]+/g, (plain, octet?: string) => octet ?? Buffer.from(plain).toString('hex'));
  const octets = Buffer.from(hexadecimal, 'hex');
  try {
    return new TextDecoder(charset).decode(octets);
  } catch {
    return octets.toString();
  }
}
