// Phone numbers as people write them, in E.164 (ITU-T).
import { parsePhoneNumberFromString } from 'libphonenumber-js/max';

/** A number of 15 digits with what people write between them. */
const MAX_CHARACTERS = 64;
/** What copying from an address book or a page brings along: directions, joiners, zero-width spaces, soft hyphens. */
const IGNORED = /\p{Default_Ignorable_Code_Point}/gu;
/** As Google's libphonenumber has them (PLUS_CHARS); it takes several, too. */
const PLUS_SIGNS = /^[+\uff0b]+/;
/** A bracket around the country code, or the scheme of RFC 3966. */
const BEFORE_PLUS = /^(?:tel:)?[\s([\uff08\uff3b]*(?=[+\uff0b])/i;

/** What stands around a number in a text: quotation marks, brackets, commas. libphonenumber leaves it out, too, but for a `#` (UNWANTED_END_CHARS). */
const AROUND = /^[^\p{L}\p{N}\p{Cc}\p{Cs}+\uff0b]+|(?<![^\p{L}\p{N}\p{Cc}\p{Cs}#])[^\p{L}\p{N}\p{Cc}\p{Cs}#]+$/gu;

const isDigit = (codePoint: number): boolean => /^\p{Nd}$/u.test(String.fromCodePoint(codePoint));

/** The value of a decimal digit of any script: Unicode has them in runs of ten, 0 first (chapter 4.6), some of which adjoin. */
function valueOf(digit: string): string {
  const codePoint = digit.codePointAt(0) ?? 0;
  let first = codePoint;
  while (isDigit(first - 1)) first -= 1;
  return String((codePoint - first) % 10);
}

/**
 * A number in the characters that libphonenumber-js knows: it takes digits of three scripts alone, where Google's takes those of all, and few of the
 * blanks and dashes that word processors write.
 */
export const inPlainCharacters = (text: string): string =>
  text
    .replace(IGNORED, '')
    .trim()
    .replace(BEFORE_PLUS, '')
    .replace(PLUS_SIGNS, '+')
    .replaceAll(/(?![0-9])\p{Nd}/gu, valueOf)
    .replaceAll(/[\p{Zs}\t]/gu, ' ')
    .replaceAll(/\p{Pd}/gu, '-')
    .replaceAll(/[\u00b7\u2022\u2027\u30fb]/g, '.');

/**
 * The E.164 form of an international number that exists, as a person writes it: in any script, with libphonenumber's punctuation and a trunk zero in
 * brackets, in quotation marks or with a comma behind it. Without `+` it is none, since `00` leads abroad from some countries only; nor with an extension, letters or
 * parameters (`;isub=`), which no message reaches.
 *
 * @returns null for anything else
 */
export function normalisePhone(text: string): string | null {
  if (text.length > MAX_CHARACTERS) return null;
  const number = inPlainCharacters(text.trim().replace(AROUND, ''));
  if (!number.startsWith('+') || number.includes(';')) return null;
  const parsed = parsePhoneNumberFromString(number, { extract: false });
  return parsed?.isValid() && parsed.ext === undefined ? parsed.number : null;
}
