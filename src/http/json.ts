// How much JSON may hold, counted before it is parsed: objects with a hundred thousand members cost more than the megabyte that they fit into.
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
