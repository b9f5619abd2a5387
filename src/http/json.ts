// How much JSON may hold, and where a text stops being JSON. What it holds is counted before it is parsed: objects with a hundred thousand members cost more than the megabyte that they fit into.
import { badRequest } from '../infra/errors';

const MAX_DEPTH = 32;
/** Members of objects and entries of arrays, all together: twice what the largest dictionary has. */
const MAX_VALUES = 2000;

const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c];
/** `[` and `{`, `]` and `}`: they differ in one bit. */
const [OPEN, CLOSE] = [0x5b, 0x5d];
const BRACE_BIT = 0x20;

/** Where a string ends. @param start behind its first quote @returns the place behind its last quote; the text's end where there is none */
function endOfString(bytes: Buffer, start: number): number {
  for (let at = start; at < bytes.length; at += 1) {
    if (bytes[at] === QUOTE) return at + 1;
    if (bytes[at] === BACKSLASH) at += 1;
  }
  return bytes.length;
}

/** @throws {ApiError} 400 for JSON that is nested too deeply, or has too many values; whether it is JSON is not looked at */
export function requireSmallJson(bytes: Buffer): void {
  let [depth, values] = [0, 0];
  for (let at = 0; at < bytes.length;) {
    const octet = bytes[at] as number;
    at += 1;
    if (octet === QUOTE) at = endOfString(bytes, at);
    else if (octet === COMMA) values += 1;
    else if ((octet & ~BRACE_BIT) === OPEN) [depth, values] = [depth + 1, values + 1];
    else if ((octet & ~BRACE_BIT) === CLOSE) depth -= 1;
    if (depth > MAX_DEPTH) throw badRequest('json.too_deep');
    if (values > MAX_VALUES) throw badRequest('json.too_many');
  }
}

const SPACE = /[ \t\n\r]*/y;
const SCALAR = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;
/** Without its end, so that it stops where the fault is. */
// oxlint-disable-next-line no-control-regex -- these are what JSON does not admit (RFC 8259, section 7)
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*/y;

/**
 * Where a text that JSON.parse() refuses stops being JSON: it does not say so itself, or quotes what stands there, passwords too.
 *
 * @param text nested no deeper than requireSmallJson() admits
 */
export function findJsonFault(text: string): { line: number; column: number } {
  let at = 0;
  const take = (pattern: RegExp): boolean => {
    pattern.lastIndex = at;
    const isThere = pattern.test(text);
    if (isThere) at = pattern.lastIndex;
    return isThere;
  };
  const takeOne = (letter: string | undefined): boolean => {
    take(SPACE);
    if (letter === undefined || text[at] !== letter) return false;
    at += 1;
    return true;
  };
  const takeString = (): boolean => take(STRING) && text[at] === '"' && (at += 1) > 0;
  /** Ends of the arrays and objects that are open. */
  const open: string[] = [];
  const takeValue = (): boolean => {
    take(SPACE);
    const end = { '[': ']', '{': '}' }[text[at] ?? ''];
    if (end === undefined) return text[at] === '"' ? takeString() : take(SCALAR);
    at += 1;
    if (takeOne(end)) return true;
    open.push(end);
    return takeMember();
  };
  const takeMember = (): boolean => {
    take(SPACE);
    return (open.at(-1) === ']' || (takeString() && takeOne(':'))) && takeValue();
  };
  let isRight = takeValue();
  while (isRight && open.length > 0) {
    if (takeOne(open.at(-1))) open.pop();
    else isRight = takeOne(',') && takeMember();
  }
  if (isRight) take(SPACE);
  let [line, start] = [1, 0];
  for (let end = text.indexOf('\n'); end !== -1 && end < at; end = text.indexOf('\n', start)) [line, start] = [line + 1, end + 1];
  return { line, column: at - start + 1 };
}
