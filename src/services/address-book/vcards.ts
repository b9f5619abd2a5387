// vCards that people store: what one must be, and the form in which it is kept. The grammar is that of RFC 6350 section 3.3, with the parameters
// without a value of version 2.1. Every step costs time in proportion to the card's length, and what else could cost has a limit of its own.
import type { Message, MessageKey } from '../../i18n';

/** In UTF-8. A card with a photograph in it fits. */
const MAX_CARD_BYTES = 512 * 1024;
/** Lines as they come. Folded at 75 octets, the longest card has fewer; folded at every letter, it would have half a million. */
const MAX_LINES = 8192;
/** A property's name with its parameters, up to the colon before its value. */
const MAX_HEAD_CHARACTERS = 4096;
/** Of the whole card; apps that read it back have parsers of their own. */
const MAX_PARAMETERS = 65_536;
/** Of all parameters in the card together. */
const MAX_PARAMETER_VALUES = 65_536;
/** What an index of PostgreSQL can surely hold. */
const MAX_UID_CHARACTERS = 255;
const MAX_LINE_BYTES = 75;
/** Of a line at fault, what the answer quotes. */
const MAX_QUOTED_CHARACTERS = 40;

const VERSIONS = new Set(['2.1', '3.0', '4.0']);
const EXACTLY_ONCE = ['VERSION', 'FN', 'UID'];
const AT_MOST_ONCE = ['KIND', 'N', 'BDAY', 'ANNIVERSARY', 'GENDER', 'REV', 'PRODID'];

/** Properties and parameters of RFC 6350: a card of version 4.0 is held against its rules. Those of later RFCs are taken as they are. */
const RFC_6350 = new Set(
  `SOURCE KIND XML FN N NICKNAME PHOTO BDAY ANNIVERSARY GENDER ADR TEL EMAIL IMPP LANG TZ GEO TITLE ROLE LOGO ORG MEMBER RELATED
   CATEGORIES NOTE PRODID REV SOUND UID CLIENTPIDMAP URL VERSION KEY FBURL CALADRURI CALURI`.split(/\s+/),
);
const RFC_6350_PARAMETERS = new Set('LANGUAGE VALUE PREF ALTID PID TYPE MEDIATYPE CALSCALE SORT-AS GEO TZ LABEL'.split(' '));
/** Longer names are nobody's. */
const MAX_KNOWN_CHARACTERS = 16;
/** RFC 6350 section 5.9. */
const SORTABLE = new Set(['N', 'ORG']);
/** Values of several components (RFC 6350 sections 6.2.2 and 6.3.1), none of which may stand for all of them. */
const STRUCTURED = new Set(['N', 'ADR']);

// eslint-disable-next-line no-control-regex -- control characters are what it looks for
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f]/;
const HALF_CHARACTER = /\p{Surrogate}/u;
const NOT_ASCII = /[\u0080-\uffff]/;

/** A card that may be stored. */
export interface Vcard {
  /** Unescaped. */
  uid: string;
  /** Normalised: lines end with LF, `VERSION` first, folded at 75 octets. */
  text: string;
}

class Refusal extends Error {
  constructor(readonly reason: Message) {
    super(reason.key);
  }
}
const refuse = (key: MessageKey, values: Message['values'] = {}): Refusal =>
  new Refusal({ key, values: { attribute: 'vcard', ...values } });
const notAProperty = (line: string): Refusal =>
  refuse('vcard.line', { line: line.length > MAX_QUOTED_CHARACTERS ? `${line.slice(0, MAX_QUOTED_CHARACTERS)}…` : line });

/** The text without the line ends behind it, all others LF. @throws {Refusal} with more lines than a card may have */
function withPlainLineEnds(text: string): string {
  let end = text.length;
  while (text[end - 1] === '\n') end -= text[end - 2] === '\r' ? 2 : 1;
  const whole = text.slice(0, end);
  let lines = 1;
  for (let at = whole.indexOf('\n'); at >= 0; at = whole.indexOf('\n', at + 1)) {
    lines += 1;
    if (lines > MAX_LINES) throw refuse('vcard.lines', { limit: MAX_LINES });
  }
  return whole.replaceAll('\r\n', '\n');
}

/** The lines with what was folded put together again (RFC 6350 section 3.2). */
function unfold(text: string): string[] {
  const whole: string[] = [];
  let parts: string[] = [];
  const finish = (): void => {
    if (parts.length > 0) whole.push(parts.length === 1 ? (parts[0] ?? '') : parts.join(''));
  };
  for (const line of text.split('\n')) {
    const folded = line.startsWith(' ') || line.startsWith('\t');
    if (folded && parts.length === 0) throw refuse('vcard.begin');
    if (folded) parts.push(line.slice(1));
    else {
      finish();
      parts = [line];
    }
  }
  finish();
  return whole;
}

/** Whether an octet of UTF-8 continues a character. */
const isContinuation = (octet: number | undefined): boolean => octet !== undefined && (octet & 0xc0) === 0x80;

/** A line of ASCII in pieces of at most 75 octets. */
function foldAscii(line: string): string {
  if (line.length <= MAX_LINE_BYTES) return line;
  const pieces = [line.slice(0, MAX_LINE_BYTES)];
  // The space before what goes on is one of the octets.
  for (let start = MAX_LINE_BYTES; start < line.length; start += MAX_LINE_BYTES - 1)
    pieces.push(line.slice(start, start + MAX_LINE_BYTES - 1));
  return pieces.join('\n ');
}

/** The same of any line, no character cut. */
function fold(line: string): string {
  if (Buffer.byteLength(line) <= MAX_LINE_BYTES) return line;
  const octets = Buffer.from(line);
  const pieces: string[] = [];
  for (let start = 0; start < octets.length;) {
    let end = start + MAX_LINE_BYTES - (start === 0 ? 0 : 1);
    while (isContinuation(octets[end])) end -= 1;
    pieces.push(octets.toString('utf8', start, end));
    start = end;
  }
  return pieces.join('\n ');
}

/** The characters of a text, by their codes; others than ASCII's are none. */
function codesOf(characters: string): Uint8Array {
  const codes = new Uint8Array(128);
  for (const character of characters) codes[character.charCodeAt(0)] = 1;
  return codes;
}
/** Of names of properties, groups and parameters. */
const NAME_CODES = codesOf('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-');
/** What ends a parameter's value without quotes. */
const END_CODES = codesOf('",:;');

function endOfName(text: string, start: number): number {
  let at = start;
  while (NAME_CODES[text.charCodeAt(at)] === 1) at += 1;
  return at;
}

function endOfPlainValue(text: string, start: number): number {
  let at = start;
  while (at < text.length && END_CODES[text.charCodeAt(at)] !== 1) at += 1;
  return at;
}

/** Properties whose values are looked at. */
const READ = new Set([...EXACTLY_ONCE, ...AT_MOST_ONCE]);

/** Reads the lines of one card, as long as its budget lasts. */
class LineReader {
  /** Of the properties in READ, in the order of the card. */
  readonly values = new Map<string, string[]>();
  /** The line that says which version this is. */
  version = '';
  /** What RFC 6350 forbids of its own properties: of a card of version 4.0, the first of it. */
  fault: string | undefined;
  #parameters = 0;
  #values = 0;

  /** `group.NAME;PARAMETER=value,"value":text`; a colon in quotes is part of a parameter's value. @throws {Refusal} */
  read(line: string): void {
    // What stands beyond is looked at by nobody: it is the value, or the line is refused.
    const head = line.length > MAX_HEAD_CHARACTERS ? line.slice(0, MAX_HEAD_CHARACTERS + 1) : line;
    let start = 0;
    let at = endOfName(head, start);
    if (head[at] === '.' && at > 0) {
      start = at + 1;
      at = endOfName(head, start);
    }
    if (at === start) throw notAProperty(line);
    const name = at - start > MAX_KNOWN_CHARACTERS ? '' : head.slice(start, at).toUpperCase();
    while (head[at] === ';') at = this.#readParameter(name, line, head, at + 1);
    if (head[at] !== ':') throw notAProperty(line);
    if (name === 'BEGIN' || name === 'END') throw refuse('vcard.one');
    if (STRUCTURED.has(name) && at + 1 === line.length) this.fault ??= `${name}:`;
    if (!READ.has(name)) return;
    const value = line.slice(at + 1);
    const others = this.values.get(name);
    if (others) others.push(value);
    else this.values.set(name, [value]);
    if (name === 'VERSION') this.version = line;
  }

  /** @returns where the parameter ends */
  #readParameter(property: string, line: string, head: string, start: number): number {
    this.#parameters += 1;
    if (this.#parameters > MAX_PARAMETERS) throw refuse('vcard.parameters', { limit: MAX_PARAMETERS });
    let at = endOfName(head, start);
    if (at === start) throw notAProperty(line);
    const name = at - start > MAX_KNOWN_CHARACTERS ? '' : head.slice(start, at).toUpperCase();
    const hasValue = head[at] === '=';
    // The first value follows the `=`, each other one a comma.
    for (let more = hasValue; more; more = head[at] === ',') {
      this.#values += 1;
      if (this.#values > MAX_PARAMETER_VALUES) throw refuse('vcard.parameter_values', { limit: MAX_PARAMETER_VALUES });
      at += 1;
      if (head[at] !== '"') at = endOfPlainValue(head, at);
      else {
        const end = head.indexOf('"', at + 1);
        if (end < 0) throw notAProperty(line);
        at = end + 1;
      }
    }
    if (RFC_6350_PARAMETERS.has(name) && RFC_6350.has(property)) {
      const isMisplaced = name === 'SORT-AS' && !SORTABLE.has(property);
      if (isMisplaced || !hasValue) this.fault ??= `${property};${name}`;
    }
    return at;
  }
}

const unescapeText = (text: string): string =>
  text.replace(/\\([\\,;nN])/g, (_, character: string) => (character.toLowerCase() === 'n' ? '\n' : character));

function readVcard(text: string): Vcard {
  if (Buffer.byteLength(text) > MAX_CARD_BYTES) throw refuse('vcard.too_large', { limit: MAX_CARD_BYTES / 1024 });
  const plain = withPlainLineEnds(text);
  const isAscii = !NOT_ASCII.test(plain);
  if (CONTROL.test(plain) || (!isAscii && HALF_CHARACTER.test(plain))) throw refuse('field.characters');
  const lines = unfold(plain);
  const isLine = (line: string | undefined, what: string): boolean => line?.trim().toUpperCase() === what;
  if (!isLine(lines[0], 'BEGIN:VCARD') || !isLine(lines.at(-1), 'END:VCARD') || lines.length < 2) throw refuse('vcard.begin');
  const reader = new LineReader();
  for (let index = 1; index < lines.length - 1; index += 1) reader.read(lines[index] ?? '');

  const valuesOf = (name: string): string[] => reader.values.get(name) ?? [];
  for (const property of EXACTLY_ONCE) if (valuesOf(property).length !== 1) throw refuse('vcard.exactly_once', { property });
  for (const property of AT_MOST_ONCE) if (valuesOf(property).length > 1) throw refuse('vcard.at_most_once', { property });
  const version = valuesOf('VERSION')[0]?.trim() ?? '';
  if (!VERSIONS.has(version)) throw refuse('vcard.version');
  const escapedUid = valuesOf('UID')[0]?.trim() ?? '';
  const tooLong = (): Refusal => refuse('vcard.uid_long', { limit: MAX_UID_CHARACTERS });
  // An escaped character is two.
  if (escapedUid.length > 2 * MAX_UID_CHARACTERS) throw tooLong();
  const uid = unescapeText(escapedUid).trim();
  if (uid === '') throw refuse('vcard.uid');
  if (uid.length > MAX_UID_CHARACTERS) throw tooLong();
  if (version === '4.0' && reader.fault !== undefined) throw refuse('vcard.invalid', { reason: reader.fault });
  const kept = ['BEGIN:VCARD', fold(reader.version)];
  for (let index = 1; index < lines.length - 1; index += 1) {
    const line = lines[index] ?? '';
    if (line !== reader.version) kept.push(isAscii ? foldAscii(line) : fold(line));
  }
  return { uid, text: `${kept.join('\n')}\nEND:VCARD\n` };
}

/**
 * Reads one vCard of version 2.1, 3.0 or 4.0 with exactly one FN and one UID.
 *
 * @returns its UID and normalised text; or `refused`: what is wrong with it, in words for the caller
 */
export function parseVcard(text: string): Vcard | { refused: Message } {
  try {
    return readVcard(text);
  } catch (error) {
    if (error instanceof Refusal) return { refused: error.reason };
    throw error;
  }
}
