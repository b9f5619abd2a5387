// So many calls in a turn of the event loop as are quick together.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Slices } from '../src/infra/slices';

/** Takes so long, as a request does. */
function work(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

/** Gives many calls at once; how many were made in each turn. */
async function turnsOf(slices: Slices, calls: number, ms: number): Promise<number[]> {
  const made: number[] = [];
  const perTurn: number[] = [];
  let before = 0;
  for (let n = 0; n < calls; n += 1)
    slices.run(() => {
      work(ms);
      made.push(n);
    });
  while (made.length < calls) {
    perTurn.push(made.length - before);
    before = made.length;
    await nextTurn();
  }
  perTurn.push(made.length - before);
  expect(made).toEqual(Array.from({ length: calls }, (_, n) => n));
  return perTurn.filter((count) => count > 0);
}

test('quick ones become many a turn, within a bound', async () => {
  const turns = await turnsOf(new Slices(), 2000, 0);
  expect(turns[0]).toBe(8);
  expect(Math.max(...turns)).toBe(128);
});

test('slow ones stay few, and quick ones that become slow become few', async () => {
  const slices = new Slices();
  expect(Math.max(...(await turnsOf(slices, 40, 2)))).toBe(8);
  await turnsOf(slices, 2000, 0);
  const turns = await turnsOf(slices, 400, 0.5);
  expect(turns.at(-1)).toBeLessThanOrEqual(16);
  expect(Math.min(...turns.slice(0, -1))).toBeLessThanOrEqual(16);
});

test('says how long the first of those who wait has waited; a long queue is forgotten as it goes', async () => {
  const slices = new Slices();
  expect(slices.delayMs).toBe(0);
  for (let n = 0; n < 9; n += 1) slices.run(() => undefined);
  work(30);
  expect(slices.delayMs).toBeGreaterThanOrEqual(30);
  await nextTurn();
  await nextTurn();
  expect(slices.delayMs).toBe(0);
});
