// The grammar of linphonerc files, as liblinphone reads them (`linphone_config_parse_line()` of its lpconfig). It is not INI: a value ends with its
// line and nowhere before, nothing is quoted or escaped, and a section's name is whatever stands in the brackets.

/** Entries by section, both in the order in which they first stand there. */
export type Sections = Map<string, Map<string, string>>;

/** What could be read of a file, and what could not: one line of text each, which begins with the number of the file's line. */
export interface Linphonerc {
  sections: Sections;
  faults: string[];
}

// What XML 1.0 cannot say (section 2.2), not even escaped; U+FFFD stands where the file was not UTF-8.
// eslint-disable-next-line no-control-regex -- control characters are what it looks for
const UNWRITABLE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffd-\uffff]|\p{Surrogate}/u;
const BAD_CHARACTERS = 'it has characters that XML cannot hold, or is not UTF-8';

/** One blank for several: XML makes a blank of a tab in an attribute (section 3.3.3). */
const nameOf = (text: string): string => text.trim().replaceAll(/\s+/g, ' ');

/**
 * The name of a section by what stands in its brackets. liblinphone's parameters (`[name key=value]`) are none of it, and the document has no place
 * for them.
 */
const sectionName = (inside: string): string => nameOf(inside.includes('=') ? (inside.trim().split(/\s/, 1)[0] ?? '') : inside);

/**
 * Reads a linphonerc file: `key=value` to the end of the line, comments where a line begins with `#` or `;`. Sections with one name are one; of
 * entries with one name in a section the last counts. White space is trimmed at both ends of a line, a name and a value. What cannot be read is left
 * out and told; of a heading without its `]` the whole section.
 */
export function parseLinphonerc(text: string): Linphonerc {
  const sections: Sections = new Map();
  const faults: string[] = [];
  /** undefined: before the first heading; null: in a section that is left out. */
  let section: Map<string, string> | null | undefined;
  const lines = text.replace(/^\ufeff/, '').split(/\r\n|[\r\n]/);
  for (const [index, raw] of lines.entries()) {
    const line = raw.trim();
    const fault = (what: string): void => void faults.push(`line ${index + 1}: ${what}`);
    if (line === '' || line.startsWith('#') || line.startsWith(';')) continue;
    if (line.startsWith('[')) {
      const name = sectionName(line.slice(1, Math.max(1, line.indexOf(']'))));
      section = name === '' || UNWRITABLE.test(name) ? null : (sections.get(name) ?? new Map<string, string>());
      if (section) sections.set(name, section);
      else fault(`${name === '' ? 'there is no name between [ and ]' : BAD_CHARACTERS}: the section is left out`);
      continue;
    }
    const equals = line.indexOf('=');
    const name = nameOf(line.slice(0, Math.max(0, equals)));
    if (equals === -1) fault('this is neither [section] nor key=value');
    else if (name === '') fault('there is no key in front of the =');
    else if (UNWRITABLE.test(line)) fault(`${BAD_CHARACTERS}: the entry is left out`);
    else if (section) section.set(name, line.slice(equals + 1).trim());
    else if (section === undefined) fault(`${name} stands in front of the first section`);
  }
  return { sections, faults };
}
