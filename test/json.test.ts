// Where a text stops being JSON: held against JSON.parse() itself.
import fc from 'fast-check';
import { findJsonFault } from '../src/http/json';

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};
/** In characters from the beginning. */
function placeOf(text: string): number {
  const { line, column } = findJsonFault(text);
  const lines = text.split('\n');
  return lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0) + column - 1;
}
/** Whether some text that begins so is JSON. */
const canBegin = (text: string): boolean =>
  [
    '',
    '"',
    '1',
    '"}',
    '":1}',
    '1}',
    ']',
    '1]',
    '}',
    'rue',
    'ue',
    'e',
    'alse',
    'lse',
    'se',
    'ull',
    'll',
    'l',
    '0',
    '00',
    '000',
    '0000',
  ].some((end) => ['', '}', ']', '"}', '"]', '":1}', '"'].some((close) => closings(close).some((rest) => isJson(text + end + rest))));
const closings = (close: string): string[] => {
  const brackets = ['', ']', '}', ']]', '}}', ']}', '}]'];
  return brackets.map((each) => close + each);
};

test('what is JSON is read to its end', () => {
  fc.assert(
    fc.property(fc.json(), fc.constantFrom('', ' ', '\n'), (text, space) => {
      expect(placeOf(space + text + space)).toBe((space + text + space).length);
    }),
  );
});

test('what is before the fault could go on as JSON, what is there could not', () => {
  const letters = fc.constantFrom(...Array.from('[]{}:,"\\ \n1-0.eEtruefalsn'));
  let faults = 0;
  fc.assert(
    fc.property(fc.array(letters, { maxLength: 7 }), (some) => {
      const text = some.join('');
      fc.pre(!isJson(text));
      const place = placeOf(text);
      expect(place).toBeLessThanOrEqual(text.length);
      // Numbers and words are taken whole, so that the place may be their beginning.
      if (place < text.length) expect([text, place, isJson(text.slice(0, place + 1))]).toEqual([text, place, false]);
      if (place > 0 && canBegin(text.slice(0, place))) faults += 1;
    }),
    { numRuns: 2000 },
  );
  expect(faults).toBeGreaterThan(100);
});

test('a megabyte of anything takes a moment', () => {
  const started = performance.now();
  for (const text of ['"a",', '\n', '"\\"', '"\\u0000', '1e', '-', '1,', '"x', ' '])
    findJsonFault(`[${text.repeat(1_000_000 / text.length)}`);
  expect(performance.now() - started).toBeLessThan(3000);
});
