// Characters that nobody sees, by their properties in Unicode (https://www.unicode.org/reports/tr44/): two addresses that look the same must
// be the same one, and a name must not turn the text around it.

/**
 * Controls, formats such as zero-width spaces and directions, spaces other than U+0020, what is ignored when it is shown, and two symbols that are
 * blank: Braille's U+2800 and music's U+1D159.
 */
const INVISIBLE = /(?! )[\p{Cc}\p{Cf}\p{Z}\p{Default_Ignorable_Code_Point}\u2800\u{1d159}]/u;
const VISIBLE = /[^\p{C}\p{Z}\p{Default_Ignorable_Code_Point}\u2800\u{1d159}]/u;
/** The marks of a direction (U+061C, U+200E, U+200F) change nothing around them, and names in Arabic or Hebrew have them. */
const REORDERING = /(?![\u061c\u200e\u200f])\p{Bidi_Control}|[\p{Cc}\p{Zl}\p{Zp}]/u;

/** Whether a text has a character that nobody sees; for what names somebody to machines. */
export const hasInvisible = (text: string): boolean => INVISIBLE.test(text);

/**
 * Whether a text can be shown to people within a line: something of it is seen, and it changes neither the order of the text around it nor the
 * line. Joiners and variation selectors are fine, since emoji and many scripts have them.
 */
export const isShowable = (text: string): boolean => VISIBLE.test(text) && !REORDERING.test(text);
