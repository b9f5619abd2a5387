// Items that come at the same time share a statement: who shares which, how long is waited for one, and what of a failure is whose.
import { ConnectionError } from 'sequelize';
import { Batcher, type BatchOptions } from '../src/infra/batcher';
import { context, databaseTime } from '../src/infra/context';
import { DatabaseTime } from '../src/infra/database-time';

interface Statement {
  items: string[];
  succeed: () => void;
  fail: (error: Error) => void;
}

/** A Batcher whose statements end when the test says so; an item's result is the item and the number of its statement. */
function batcher(options: BatchOptions<string> = {}): { batcher: Batcher<string, string>; sent: Statement[] } {
  const sent: Statement[] = [];
  const made = new Batcher<string, string>(
    (items) =>
      new Promise((resolve, reject) => {
        const number = sent.length;
        sent.push({ items, succeed: () => resolve(items.map((item) => `${item} by ${number}`)), fail: reject });
      }),
    options,
  );
  return { batcher: made, sent };
}
const itemsOf = (sent: Statement[]): string[][] => sent.map(({ items }) => items);
const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};
async function seconds(n: number): Promise<void> {
  await jest.advanceTimersByTimeAsync(n * 1000);
  await turns();
}
/** What became of a promise by now. */
function outcomeOf(promise: Promise<unknown>): { now: unknown } {
  const outcome = { now: 'waits' as unknown };
  promise.then(
    (result) => (outcome.now = result),
    (error: Error) => (outcome.now = error.message),
  );
  return outcome;
}
const asRequest = <T>(work: () => T, { spentMs = 0, agoMs = 0 } = {}): T => {
  const time = new DatabaseTime(4000);
  time.limitTo(4000 - spentMs);
  return context.run({ request_id: 'x', began: performance.now() - agoMs, databaseTime: time }, work);
};

beforeEach(() => void jest.useFakeTimers({ doNotFake: ['setImmediate'] }));
afterEach(() => void jest.useRealTimers());

describe('statements', () => {
  test('what comes while one is under way goes into the next', async () => {
    const { batcher: some, sent } = batcher({ size: 3 });
    const results = Promise.all(['a', 'b', 'c', 'd', 'e'].map((item) => some.submit(item)));
    expect(itemsOf(sent)).toEqual([['a']]);
    sent[0]?.succeed();
    await turns();
    expect(itemsOf(sent)).toEqual([['a'], ['b', 'c', 'd']]);
    sent[1]?.succeed();
    await turns();
    sent[2]?.succeed();
    expect(await results).toEqual(['a by 0', 'b by 1', 'c by 1', 'd by 1', 'e by 2']);
  });

  test('an item fails alone', async () => {
    const failing = new Batcher<string, string>((items) =>
      items.includes('bad') ? Promise.reject(new Error('bad')) : Promise.resolve(items),
    );
    const given = ['first', 'a', 'b', 'bad', 'c', 'd'].map((item) => failing.submit(item));
    expect((await Promise.allSettled(given)).map(({ status }) => status[0])).toEqual(['f', 'f', 'f', 'r', 'f', 'f']);
  });

  test('what was under way as PostgreSQL was lost is not tried again', async () => {
    const { batcher: some, sent } = batcher();
    const outcomes = ['a', 'b', 'c'].map((item) => outcomeOf(some.submit(item)));
    sent[0]?.fail(new ConnectionError(new Error('gone')));
    await turns();
    sent[1]?.fail(new ConnectionError(new Error('gone')));
    await turns();
    expect([itemsOf(sent), outcomes.map(({ now }) => now)]).toEqual([
      [['a'], ['b', 'c']],
      ['gone', 'gone', 'gone'],
    ]);
  });

  test('more than may wait are refused, and when some are done no more', async () => {
    const { batcher: some, sent } = batcher({ backlog: 2, keyOf: (item) => item });
    const outcomes = ['a', 'b', 'b'].map((item) => outcomeOf(some.submit(item)));
    await turns();
    expect(outcomes.map(({ now }) => now)).toEqual(['waits', 'waits', '503 server.overloaded']);
    sent[0]?.succeed();
    await turns();
    expect(outcomeOf(some.submit('c')).now).toBe('waits');
    await turns();
    sent[1]?.succeed();
    await turns();
    sent[2]?.succeed();
    await some.idle();
    expect(itemsOf(sent)).toEqual([['a'], ['b'], ['c']]);
  });

  test('results of many are told in more than one turn of the event loop, in order', async () => {
    jest.useRealTimers();
    const told: [item: number, turn: number][] = [];
    let turn = 0;
    let isOver = false;
    const count = (): unknown => setImmediate(() => ((turn += 1), isOver || count()));
    count();
    const many = new Batcher<number, number>(async (items) => items);
    await Promise.all(Array.from({ length: 500 }, (_, n) => many.submit(n).then((item) => told.push([item, turn]))));
    isOver = true;
    expect(told.map(([item]) => item)).toEqual(Array.from({ length: 500 }, (_, n) => n));
    const perTurn = new Map<number, number>();
    for (const [, at] of told) perTurn.set(at, (perTurn.get(at) ?? 0) + 1);
    // As many as turn out to be quick (slices.test.ts).
    expect(Math.max(...perTurn.values())).toBeLessThanOrEqual(128);
    expect(perTurn.size).toBeGreaterThan(4);
  });
});

describe('items of one key', () => {
  const keyOf = (item: string): string => item.slice(0, 1);

  test('share a place that waits, and never one that was sent', async () => {
    const { batcher: some, sent } = batcher({ keyOf });
    const results = Promise.all(['a1', 'a2', 'b1', 'a3', 'b2'].map((item) => some.submit(item)));
    sent[0]?.succeed();
    await turns();
    expect(itemsOf(sent)).toEqual([['a1'], ['a2', 'b1']]);
    const later = some.submit('b3');
    sent[1]?.succeed();
    await turns();
    expect(itemsOf(sent)[2]).toEqual(['b3']);
    sent[2]?.succeed();
    expect([await results, await later]).toEqual([['a1 by 0', 'a2 by 1', 'b1 by 1', 'a2 by 1', 'b1 by 1'], 'b3 by 2']);
  });

  test('go one after another where each has a result of its own', async () => {
    const { batcher: some, sent } = batcher({ keyOf, sameKey: 'queued', size: 2 });
    const results = Promise.all(['a1', 'a2', 'a3', 'b1', 'c1', 'c2'].map((item) => some.submit(item)));
    for (let n = 0; n < 4; n += 1) {
      sent[n]?.succeed();
      await turns();
    }
    expect(itemsOf(sent)).toEqual([['a1'], ['a2', 'b1'], ['a3', 'c1'], ['c2']]);
    expect(await results).toEqual(['a1 by 0', 'a2 by 1', 'a3 by 2', 'b1 by 1', 'c1 by 2', 'c2 by 3']);
  });
});

describe('is waited for', () => {
  const GIVEN_UP = '503 server.database';

  test.each([['request' as const], ['report' as const]])('within 5 s where PostgreSQL does not answer (%s)', async (patience) => {
    const { batcher: some, sent } = batcher();
    const outcomes = ['in a statement', 'before one'].map((item) => outcomeOf(asRequest(() => some.submit(item, patience))));
    await seconds(4.4);
    expect(outcomes.map(({ now }) => now)).toEqual(['waits', 'waits']);
    await seconds(0.3);
    expect(outcomes.map(({ now }) => now)).toEqual([GIVEN_UP, GIVEN_UP]);
    // Done all the same.
    sent[0]?.succeed();
    await turns();
    expect(itemsOf(sent)).toEqual([['in a statement'], ['before one']]);
  });

  test('by a request no longer though statements succeed, less what it has waited for PostgreSQL before', async () => {
    const { batcher: some, sent } = batcher({ size: 1 });
    const outcomes = [0, 0, 0, 2000].map((spentMs, n) => outcomeOf(asRequest(() => some.submit(`${n}`), { spentMs })));
    await seconds(2.4);
    sent[0]?.succeed();
    await turns();
    expect(outcomes.map(({ now }) => now)).toEqual(['0 by 0', 'waits', 'waits', 'waits']);
    await seconds(0.3);
    expect(outcomes[3]?.now).toBe(GIVEN_UP);
    await seconds(1.7);
    sent[1]?.succeed();
    await seconds(0.4);
    expect(outcomes.map(({ now }) => now)).toEqual(['0 by 0', '1 by 1', GIVEN_UP, GIVEN_UP]);
  });

  test('counts as waiting for PostgreSQL where it is a request that waits', async () => {
    const { batcher: some, sent } = batcher();
    const spent = (patience: 'request' | 'report'): Promise<number> =>
      asRequest(async () => {
        await some.submit('x', patience);
        return Math.round(databaseTime()?.spent ?? 0);
      });
    const both = Promise.all([spent('request'), spent('report')]);
    await seconds(1);
    sent[0]?.succeed();
    await turns();
    sent[1]?.succeed();
    expect(await both).toEqual([1000, 0]);
  });

  test('by a report as long as statements succeed, and within 5 s from when they do no more', async () => {
    const { batcher: some, sent } = batcher({ size: 1, patience: 'report' });
    const outcomes = Array.from({ length: 5 }, (_, n) => outcomeOf(asRequest(() => some.submit(`${n}`))));
    for (let n = 0; n < 3; n += 1) {
      await seconds(4);
      sent[n]?.succeed();
      await turns();
    }
    await seconds(4.4);
    expect(outcomes.map(({ now }) => now)).toEqual(['0 by 0', '1 by 1', '2 by 2', 'waits', 'waits']);
    await seconds(0.3);
    expect(outcomes.map(({ now }) => now)).toEqual(['0 by 0', '1 by 1', '2 by 2', GIVEN_UP, GIVEN_UP]);
  });

  test('by a request that is patient as by a report, for whatever it asks', async () => {
    const { batcher: some, sent } = batcher({ size: 1 });
    const ask = (item: string, isPatient: boolean): Promise<string> =>
      context.run({ request_id: 'x', databaseTime: Object.assign(new DatabaseTime(4000), { isPatient }) }, () => some.submit(item));
    const outcomes = [outcomeOf(ask('0', true)), outcomeOf(ask('1', true)), outcomeOf(ask('2', false))];
    await seconds(3);
    sent[0]?.succeed();
    await seconds(3);
    expect(outcomes.map(({ now }) => now)).toEqual(['0 by 0', 'waits', GIVEN_UP]);
    sent[1]?.succeed();
    await turns();
    expect(outcomes[1]?.now).toBe('1 by 1');
  });

  test('by a report for 25 s from when its request came, in all', async () => {
    const { batcher: some, sent } = batcher({ size: 1, patience: 'report' });
    const others = Array.from({ length: 8 }, (_, n) => outcomeOf(some.submit(`${n}`)));
    const outcomes = [0, 4000].map((agoMs) => outcomeOf(asRequest(() => some.submit('late'), { agoMs })));
    const seen: unknown[] = [];
    for (let n = 0; n < 7; n += 1) {
      await seconds(4);
      sent[n]?.succeed();
      await turns();
      seen.push(outcomes.map(({ now }) => now));
    }
    const [waiting, onlyOne, none] = [
      ['waits', 'waits'],
      ['waits', GIVEN_UP],
      [GIVEN_UP, GIVEN_UP],
    ];
    expect(seen).toEqual([waiting, waiting, waiting, waiting, waiting, onlyOne, none]);
    expect(others[5]?.now).toBe('5 by 5');
  });
});
