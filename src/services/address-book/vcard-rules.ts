// What RFC 6350 says of properties and parameters. A card of version 4.0 is held against all of it, each card against what is said of how often.
// Properties and parameters of later RFCs are taken as they are.
import type { Encoding } from './vcard-lines';

export const VERSIONS = ['2.1', '3.0', '4.0'] as const;
export type Version = (typeof VERSIONS)[number];

/** What is known of a property. Rules are named by their section of RFC 6350. */
export interface PropertyRules {
  /** There is one at most. */
  once?: string;
  /** Its value has several components, none of which may stand for all of them. */
  components?: string;
  /** Whether it may have SORT-AS. Where else a parameter stands that means nothing there, such as TYPE beside BDAY, it is taken as it is. */
  sortable: boolean;
}

/** What is known of a parameter. */
export interface ParameterRules {
  section: string;
  /** What its values must be. An empty one is none. */
  values?: RegExp;
}

const names = (text: string): string[] => text.split(/\s+/);

/** Of FN there may be several by RFC 6350; here it is what a card is shown as. */
const ONCE: Record<string, string> = {
  VERSION: '6.7.9',
  UID: '6.7.6',
  FN: '6.2.1',
  KIND: '6.1.4',
  N: '6.2.2',
  BDAY: '6.2.5',
  ANNIVERSARY: '6.2.6',
  GENDER: '6.2.7',
  REV: '6.7.4',
  PRODID: '6.7.3',
};
/** Those that every card has, in the order in which they are missed, with their sections. */
export const REQUIRED = ['VERSION', 'FN', 'UID'].map((name) => [name, ONCE[name] ?? ''] as const);
/** Those that say what the card is: no second representation of them. */
export const UNALTERABLE: ReadonlySet<string> = new Set(['VERSION', 'UID']);

const COMPONENTS: Record<string, string> = { N: '6.2.2', ADR: '6.3.1' };
const SORTABLE = new Set(['N', 'ORG']);

export const PROPERTIES: ReadonlyMap<string, PropertyRules> = new Map(
  names(
    `SOURCE KIND XML FN N NICKNAME PHOTO BDAY ANNIVERSARY GENDER ADR TEL EMAIL IMPP LANG TZ GEO TITLE ROLE LOGO ORG MEMBER RELATED
     CATEGORIES NOTE PRODID REV SOUND UID CLIENTPIDMAP URL VERSION KEY FBURL CALADRURI CALURI`,
  ).map((name) => [name, { once: ONCE[name], components: COMPONENTS[name], sortable: SORTABLE.has(name) }]),
);

export const PARAMETERS: ReadonlyMap<string, ParameterRules> = new Map([
  ['LANGUAGE', { section: '5.1' }],
  ['VALUE', { section: '5.2' }],
  ['PREF', { section: '5.3', values: /^(?:0?[1-9]|[1-9]\d|100)$/ }],
  ['ALTID', { section: '5.4' }],
  ['PID', { section: '5.5', values: /^\d+(?:\.\d+)?(?:,\d+(?:\.\d+)?)*$/ }],
  ['TYPE', { section: '5.6' }],
  ['MEDIATYPE', { section: '5.7' }],
  ['CALSCALE', { section: '5.8' }],
  ['SORT-AS', { section: '5.9' }],
  ['GEO', { section: '5.10' }],
  ['TZ', { section: '5.11' }],
  ['LABEL', { section: '6.3.1' }],
]);

/** How values may be written, by the parameter ENCODING; in version 2.1 its value may stand without its name. */
export const ENCODINGS: ReadonlyMap<string, Encoding> = new Map([
  ['QUOTED-PRINTABLE', 'quoted-printable'],
  ['BASE64', 'base64'],
  ['B', 'base64'],
]);

/** Names that are longer are nobody's. */
export const MAX_KNOWN_CHARACTERS = 'QUOTED-PRINTABLE'.length;
