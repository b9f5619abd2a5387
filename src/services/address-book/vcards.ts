// vCards that people store: what one must be, and the form in which it is kept. vcard4 judges the grammar of version 4.0 (RFC 6350); what
// it lets pass (no UID, two cards in one, NUL, megabytes) or does not know (RFC 9554, 9555, older versions) is seen to here.
import { parse } from 'vcard4';
import type { Message, MessageKey } from '../../i18n';

/** In UTF-8. A card with a photograph in it fits; what is longer costs too much to look at. */
const MAX_CARD_BYTES = 512 * 1024;
/** Lines as they come. Folded at 75 octets, the longest card has fewer; folded at every letter, it would have half a million. */
const MAX_LINES = 8192;
/** A property's name with its parameters; the parser's time grows with the square of their number. */
const MAX_HEAD_CHARACTERS = 4096;
/** What an index of PostgreSQL can surely hold. */
const MAX_UID_CHARACTERS = 255;
const MAX_LINE_BYTES = 75;

const VERSIONS = new Set(['2.1', '3.0', '4.0']);
const EXACTLY_ONCE = ['VERSION', 'FN', 'UID'];
const AT_MOST_ONCE = ['KIND', 'N', 'BDAY', 'ANNIVERSARY', 'GENDER', 'REV', 'PRODID'];

/** Properties and parameters of RFC 6350, which vcard4 knows. Later ones it would refuse: they are not shown to it. */
const RFC_6350 = new Set(
  `SOURCE KIND XML FN N NICKNAME PHOTO BDAY ANNIVERSARY GENDER ADR TEL EMAIL IMPP LANG TZ GEO TITLE ROLE LOGO ORG MEMBER RELATED
   CATEGORIES NOTE PRODID REV SOUND UID CLIENTPIDMAP URL VERSION KEY FBURL CALADRURI CALURI`.split(/\s+/),
);

const RFC_6350_PARAMETERS = new Set('LANGUAGE VALUE PREF ALTID PID TYPE MEDIATYPE CALSCALE SORT-AS GEO TZ LABEL CC INDEX LEVEL'.split(' '));

const VALUE = '(?:"[^"]*"|[^";:,]*)';
/** `;NAME=value,"value"`; version 2.1 has parameters without a value, too. */
const PARAMETER = `;([A-Za-z0-9-]+)(?:=${VALUE}(?:,${VALUE})*)?`;
/** `group.NAME;parameters:text`. */
const PROPERTY = new RegExp(`^((?:[A-Za-z0-9-]+\\.)?)([A-Za-z0-9-]+)((?:${PARAMETER.replace('(', '(?:')})*):(.*)$`, 'su');
// eslint-disable-next-line no-control-regex -- control characters are what it looks for
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f]|\p{Surrogate}/u;

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

/** The lines of the text with what was folded put together again (RFC 6350 section 3.2). */
function unfold(text: string): string[] {
  const lines = text.replace(/\r\n/g, '\n').replace(/\n+$/, '').split('\n');
  if (lines.length > MAX_LINES) throw refuse('vcard.lines', { limit: MAX_LINES });
  const whole: string[][] = [];
  for (const line of lines) {
    const folded = line.startsWith(' ') || line.startsWith('\t');
    if (!folded) whole.push([line]);
    else if (whole.length > 0) whole.at(-1)?.push(line.slice(1));
    else throw refuse('vcard.begin');
  }
  return whole.map((parts) => parts.join(''));
}

/** A line in pieces of at most 75 octets, no character cut. */
function fold(line: string): string {
  if (Buffer.byteLength(line) <= MAX_LINE_BYTES) return line;
  const pieces: string[] = [];
  let piece = '';
  let octets = 0;
  for (const character of line) {
    const length = Buffer.byteLength(character);
    if (octets + length > MAX_LINE_BYTES) {
      pieces.push(piece);
      piece = ' ';
      octets = 1;
    }
    piece += character;
    octets += length;
  }
  return [...pieces, piece].join('\n');
}

interface Property {
  name: string;
  value: string;
  line: string;
  /** The line without the parameters that vcard4 does not know. */
  shown: string;
}

function readProperty(line: string): Property {
  const shortened = line.length > 40 ? `${line.slice(0, 40)}…` : line;
  const head = line.indexOf(':');
  if (head > MAX_HEAD_CHARACTERS || (head < 0 && line.length > MAX_HEAD_CHARACTERS)) throw refuse('vcard.line', { line: shortened });
  const [whole, group = '', name = '', parameters = '', value = ''] = PROPERTY.exec(line) ?? [];
  if (whole === undefined) throw refuse('vcard.line', { line: shortened });
  const known = [...parameters.matchAll(new RegExp(PARAMETER, 'gu'))].filter(([, parameter = '']) => isKnownParameter(parameter));
  return { name: name.toUpperCase(), value, line, shown: `${group}${name}${known.map(([text]) => text).join('')}:${value}` };
}

const isKnownParameter = (name: string): boolean => RFC_6350_PARAMETERS.has(name.toUpperCase());

const unescapeText = (text: string): string =>
  text.replace(/\\([\\,;nN])/g, (_, character: string) => (character.toLowerCase() === 'n' ? '\n' : character));

function readVcard(text: string): Vcard {
  if (Buffer.byteLength(text) > MAX_CARD_BYTES) throw refuse('vcard.too_large', { limit: MAX_CARD_BYTES / 1024 });
  if (CONTROL.test(text.replace(/\r\n/g, '\n'))) throw refuse('field.characters');
  const lines = unfold(text);
  const isLine = (line: string | undefined, what: string): boolean => line?.trim().toUpperCase() === what;
  if (!isLine(lines[0], 'BEGIN:VCARD') || !isLine(lines.at(-1), 'END:VCARD') || lines.length < 2) throw refuse('vcard.begin');
  const properties = lines.slice(1, -1).map(readProperty);
  if (properties.some(({ name }) => name === 'BEGIN' || name === 'END')) throw refuse('vcard.one');

  const valuesOf = (name: string): string[] => properties.filter((property) => property.name === name).map(({ value }) => value);
  for (const property of EXACTLY_ONCE) if (valuesOf(property).length !== 1) throw refuse('vcard.exactly_once', { property });
  for (const property of AT_MOST_ONCE) if (valuesOf(property).length > 1) throw refuse('vcard.at_most_once', { property });
  const version = valuesOf('VERSION')[0]?.trim() ?? '';
  if (!VERSIONS.has(version)) throw refuse('vcard.version');
  const uid = unescapeText(valuesOf('UID')[0] ?? '').trim();
  if (uid === '') throw refuse('vcard.uid');
  if (uid.length > MAX_UID_CHARACTERS) throw refuse('vcard.uid_long', { limit: MAX_UID_CHARACTERS });
  if (version === '4.0') {
    const known = properties.filter(({ name }) => RFC_6350.has(name)).map(({ shown }) => shown);
    try {
      parse(['BEGIN:VCARD', ...known, 'END:VCARD', ''].join('\r\n'));
    } catch (error) {
      throw refuse('vcard.invalid', { reason: error instanceof Error ? error.message : String(error) });
    }
  }
  const ordered = [...properties.filter(({ name }) => name === 'VERSION'), ...properties.filter(({ name }) => name !== 'VERSION')];
  return { uid, text: `${['BEGIN:VCARD', ...ordered.map(({ line }) => fold(line)), 'END:VCARD'].join('\n')}\n` };
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
