// Cards for tests, and what becomes of them.
import { render } from '../../src/i18n';
import { parseVcard } from '../../src/services/address-book/vcards';
import { readMeaning } from './vcard-meaning';

/** A card with FN and UID in its lines 3 and 4. */
export const card = (version: string, ...lines: string[]): string =>
  ['BEGIN:VCARD', `VERSION:${version}`, 'FN:A', 'UID:u', ...lines, 'END:VCARD', ''].join('\r\n');

/** What is stored, or the refusal. */
export const textOf = (text: string): string => {
  const result = parseVcard(text);
  return 'text' in result ? result.text : render(result.refused, 'en');
};

/** The UID by which it is stored, or the refusal. */
export const uidOf = (text: string): string => {
  const result = parseVcard(text);
  return 'uid' in result ? result.uid : render(result.refused, 'en');
};

/** What is stored, as names and values. */
export const valuesOf = (text: string): string[] => readMeaning(textOf(text)).map(({ name, value }) => `${name}=${value}`);
