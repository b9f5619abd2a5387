// What a list that nobody reads holds: the text that is being written, and not the page that it was made of, too.
import { okByKey, okList } from '../src/http/route';
import type { Parts } from '../src/http/route';

async function* pagesOf(pages: { id: number }[][]): AsyncGenerator<{ id: number }[], void, undefined> {
  for (const page of pages) yield page;
}

test.each([
  [
    'a list',
    (pages: { id: number }[][]) =>
      okList(
        () => pagesOf(pages),
        (row) => row,
      ),
    '[{"id":1},{"id":2}',
    ',{"id":3}',
    ']',
  ],
  [
    'an object',
    (pages: { id: number }[][]) =>
      okByKey(
        () => pagesOf(pages),
        ({ id }) => `k${id}`,
        (row) => row,
      ),
    '{"k1":{"id":1},"k2":{"id":2}',
    ',"k3":{"id":3}',
    '}',
  ],
] as const)('%s lets a page go before its text waits for a reader', async (_, reply, ...texts) => {
  const pages = [[{ id: 1 }, { id: 2 }], [], [{ id: 3 }]];
  const parts = (reply(pages).body as () => Parts)();
  expect(await parts.next()).toEqual({ done: false, value: texts[0] });
  expect(pages.map(({ length }) => length)).toEqual([0, 0, 1]);
  expect(await parts.next()).toEqual({ done: false, value: texts[1] });
  expect(pages.map(({ length }) => length)).toEqual([0, 0, 0]);
  expect(await parts.next()).toEqual({ done: false, value: texts[2] });
});
