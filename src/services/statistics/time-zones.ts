// IANA time zones in the one spelling that is computed with. Every spelling that the library meets it keeps for ever, with some 100 kB for each, and
// letter case alone gives thousands to one zone.

const MAX_CHARACTERS = 64;
/** Newer versions of Node take offsets, too (`+02:00`): those are no zones. */
const NAME = /^[A-Za-z][A-Za-z0-9_+/-]*$/;

/** The canonical name of a time zone: one of a few hundred. @returns null for what is no IANA time zone, in any letter case */
export function canonicalTimeZone(name: string): string | null {
  if (name.length > MAX_CHARACTERS || !NAME.test(name)) return null;
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone;
  } catch {
    return null;
  }
}
