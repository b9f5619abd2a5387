// What a process remembers of credentials: which looks cost a place in the limit of their address, and which keep it.
import { setTimeout as sleep } from 'node:timers/promises';
import { lookUpShown, shownFrom, type Shown } from '../src/http/shown-credentials';
import { tooManyRequests, unauthorized, unavailable } from '../src/infra/errors';

const wrong = (): Promise<never> => Promise.reject(unauthorized('auth.api_key'));
const right = (): Promise<string> => Promise.resolve('somebody');
const locked = (seconds: number) => (): Promise<never> =>
  Promise.reject(tooManyRequests(seconds, { key: 'rate_limit.exceeded', values: { seconds } }));
const FAULTS: [string, () => Promise<never>][] = [
  ['a database that is away', () => Promise.reject(unavailable('server.database'))],
  ['a fault of the program', () => Promise.reject(new TypeError('a fault'))],
];

let serial = 0;
let shown: Shown;
let taken: number;
let kept: number;
let looks: number;
beforeEach(() => {
  shown = shownFrom('192.0.2.1', `key ${(serial += 1)}`);
  taken = kept = looks = 0;
});
const takePlace = async (): Promise<() => Promise<void>> => {
  taken += 1;
  kept += 1;
  return async () => {
    kept -= 1;
  };
};
const show = <T>(work: () => Promise<T>): Promise<T> =>
  lookUpShown(shown, takePlace, () => {
    looks += 1;
    return work();
  });

test('wrong ones keep a place each time, and are looked up each time', async () => {
  for (let n = 1; n <= 3; n += 1) {
    await expect(show(wrong)).rejects.toMatchObject({ status: 401 });
    expect([taken, kept, looks]).toEqual([n, n, n]);
  }
});

test('right ones give it back, and take none from then on', async () => {
  for (let n = 1; n <= 3; n += 1) expect([await show(right), taken, kept, looks]).toEqual(['somebody', 1, 0, n]);
});

test('many at once of the same need one place, if they are right', async () => {
  await Promise.all(Array.from({ length: 5 }, () => show(() => sleep(5, 'somebody'))));
  expect([taken, kept, looks]).toEqual([1, 0, 5]);
});

test('many at once of the same take a place each, if they are wrong', async () => {
  await Promise.allSettled(Array.from({ length: 5 }, () => show(wrong)));
  expect([taken, kept]).toEqual([5, 5]);
});

test('nor does it matter to them that they were wrong before', async () => {
  await expect(show(wrong)).rejects.toMatchObject({ status: 401 });
  await Promise.all(Array.from({ length: 5 }, () => show(right)));
  expect([taken, kept]).toEqual([2, 1]);
});

test('of 50 000 those are kept that were used last', async () => {
  const of = (n: number): Shown => shownFrom('192.0.2.1', `many ${n}`);
  await lookUpShown(of(0), takePlace, right);
  await lookUpShown(of(1), takePlace, right);
  for (let n = 2; n < 50_000; n += 1) await lookUpShown(of(n), takePlace, right);
  await lookUpShown(of(0), takePlace, right);
  expect(taken).toBe(50_000);
  await lookUpShown(of(50_000), takePlace, right);
  await lookUpShown(of(0), takePlace, right);
  expect(taken).toBe(50_001);
  await lookUpShown(of(1), takePlace, right);
  expect(taken).toBe(50_002);
});

test('of 50 000 that were refused the oldest is forgotten', async () => {
  const of = (n: number): Shown => shownFrom('192.0.2.1', `refused ${n}`);
  for (let n = 0; n <= 50_000; n += 1) await lookUpShown(of(n), takePlace, locked(600)).catch(() => undefined);
  for (const n of [1, 50_000]) await expect(lookUpShown(of(n), takePlace, right)).rejects.toMatchObject({ status: 429 });
  expect(await lookUpShown(of(0), takePlace, right)).toBe('somebody');
});

test('right ones that have become wrong take a place, and are not looked up without one any more', async () => {
  await show(right);
  await expect(show(wrong)).rejects.toMatchObject({ status: 401 });
  expect([taken, kept]).toEqual([2, 1]);
  const full = (): Promise<never> => Promise.reject(tooManyRequests(9, { key: 'rate_limit.exceeded', values: { seconds: 9 } }));
  looks = 0;
  await expect(lookUpShown(shown, full, () => Promise.resolve((looks += 1)))).rejects.toMatchObject({ status: 429 });
  expect(looks).toBe(0);
});

test('one that had no place was not refused itself', async () => {
  const full = (): Promise<never> => Promise.reject(tooManyRequests(9, { key: 'rate_limit.exceeded', values: { seconds: 9 } }));
  await expect(lookUpShown(shown, full, right)).rejects.toMatchObject({ status: 429 });
  expect(await show(right)).toBe('somebody');
});

describe.each(FAULTS)('%s', (_name, fault) => {
  test('is nobody’s wrong guess: the place is given back', async () => {
    await expect(show(fault)).rejects.toThrow();
    expect([taken, kept]).toEqual([1, 0]);
  });

  test('takes no place from right ones, which stay so', async () => {
    await show(right);
    await expect(show(fault)).rejects.toThrow();
    expect([await show(right), taken, kept]).toEqual(['somebody', 1, 0]);
  });
});

test('those that are refused with 429 are not looked up before its time is over, and say how much of it is left', async () => {
  await expect(show(locked(2))).rejects.toMatchObject({ status: 429 });
  expect([taken, kept, looks]).toEqual([1, 1, 1]);
  await sleep(1050);
  await expect(show(right)).rejects.toMatchObject({
    status: 429,
    text: { key: 'rate_limit.exceeded', values: { seconds: 1 } },
    details: { headers: { 'retry-after': '1' } },
  });
  expect([taken, kept, looks]).toEqual([1, 1, 1]);
  await sleep(1000);
  expect([await show(right), looks]).toEqual(['somebody', 2]);
});

test('those of another network are others', async () => {
  await show(right);
  shown = shownFrom('192.0.2.2', `key ${serial}`);
  await show(right);
  expect(taken).toBe(2);
});
