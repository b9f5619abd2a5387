// The file `.env`. Not by Node's own parser (process.loadEnvFile), which takes what it does not understand for something else without a word:
// it cuts an unquoted password at its first #, and makes one name of a line with a colon and the next line's.
import { refuse, Refused } from './refused';

const NAME = /^(?:export[ \t]+)?([A-Za-z_][\w.]*)[ \t]*=[ \t]*(.*)$/s;
/** What may follow a closing quote. */
const REST = /^[ \t]*(?:#.*)?$/;

interface Line {
  name: string;
  value: string;
  /** How many more lines belong to it. */
  more: number;
}

/** A value in quotes, which may go on over several lines. In double quotes `\n` is a line end and `\"` a quote; nothing else is replaced. */
function quoted(name: string, first: string, rest: readonly string[]): Line {
  const quote = first.charAt(0);
  const isDouble = quote === '"';
  let text = first.slice(1);
  for (let more = 0; ; more += 1) {
    let end = text.indexOf(quote);
    while (isDouble && end > 0 && text[end - 1] === '\\') end = text.indexOf(quote, end + 1);
    if (end >= 0) {
      if (!REST.test(text.slice(end + 1))) refuse('has more behind its closing quote');
      const inside = text.slice(0, end);
      return { name, value: isDouble ? inside.replaceAll('\\n', '\n').replaceAll('\\"', '"') : inside, more };
    }
    const next = rest[more];
    if (next === undefined) return refuse('has a quote that is never closed');
    text += `\n${next}`;
  }
}

function lineOf(text: string, rest: readonly string[]): Line {
  const [, name, first = ''] = NAME.exec(text) ?? [];
  if (name === undefined) return refuse('must be NAME=value, or begin with #');
  if (/^["'`]/.test(first)) return quoted(name, first, rest);
  // A comment has a blank before it: a # may be a part of a password.
  const comment = first.search(/(?:^|[ \t])#/);
  return { name, value: (comment < 0 ? first : first.slice(0, comment)).trim(), more: 0 };
}

/**
 * Reads the text of a `.env`: lines `NAME=value`, with or without `export`, quotes (single, double, backquotes) and a comment behind a blank.
 *
 * @returns values by name, the last of a name; and a line for each fault, with its number and without its text, which may have a secret in it
 */
export function parseEnvFile(text: string): { values: Map<string, string>; faults: string[] } {
  const values = new Map<string, string>();
  const faults: string[] = [];
  // Windows' editors put a mark at the beginning, and PowerShell writes UTF-16.
  if (text.includes('\0')) return { values, faults: ['.env is not UTF-8'] };
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\r|\n/);
  for (let at = 0; at < lines.length; at += 1) {
    const line = (lines[at] ?? '').trim();
    if (line === '' || line.startsWith('#')) continue;
    try {
      const { name, value, more } = lineOf(line, lines.slice(at + 1));
      values.set(name, value);
      at += more;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      faults.push(`.env, line ${at + 1}: ${error.message}`);
    }
  }
  return { values, faults };
}
