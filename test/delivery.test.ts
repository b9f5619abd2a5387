// How a provider is asked: time, tries, breaker.
import { deliver, retryAfter, type Attempt } from '../workers/providers/delivery';

let serial = 0;
const provider = (): string => `provider ${(serial += 1)}`;
const sent: Attempt = { outcome: 'sent' };
const trouble: Attempt = { outcome: 'failed', reason: '503', trouble: true };

test('nothing is started where no time is left', async () => {
  let asked = 0;
  const result = await deliver(
    { provider: provider(), recipient: 'bob' },
    () => 50,
    1000,
    async () => {
      asked += 1;
      return sent;
    },
  );
  expect([result.outcome, asked]).toEqual(['expired', 0]);
});

test('again only where nothing was delivered, three tries at most, within the time', async () => {
  const tries = async (attempt: Attempt, milliseconds = 5000): Promise<number> => {
    let asked = 0;
    await deliver(
      { provider: provider(), recipient: 'bob' },
      () => milliseconds,
      5000,
      async () => {
        asked += 1;
        return attempt;
      },
    );
    return asked;
  };
  expect(await tries(sent)).toBe(1);
  expect(await tries(trouble)).toBe(1);
  expect(await tries({ ...trouble, again: {} })).toBe(3);
  expect(await tries({ ...trouble, again: { after: 60_000 } })).toBe(1);
  expect(await tries({ ...trouble, again: {} }, 250)).toBe(1);
});

test('a provider that hangs is given up in time, and told so', async () => {
  let aborted = false;
  const started = Date.now();
  const result = await deliver(
    { provider: provider(), recipient: 'bob' },
    () => 300,
    5000,
    (signal) =>
      new Promise(() => {
        signal.addEventListener('abort', () => (aborted = true));
      }),
  );
  expect([result.outcome, aborted]).toEqual(['unknown', true]);
  expect(Date.now() - started).toBeLessThan(4000);
});

describe('the breaker', () => {
  const asking = (): { ask: (recipient: string, attempt: Attempt, milliseconds?: number) => Promise<Attempt>; asked: () => number } => {
    const name = provider();
    let count = 0;
    return {
      ask: (recipient, attempt, milliseconds = 5000) =>
        deliver(
          { provider: name, recipient },
          () => milliseconds,
          milliseconds,
          async () => {
            count += 1;
            return attempt;
          },
        ),
      asked: () => count,
    };
  };
  const held = { outcome: 'failed', reason: 'the provider keeps failing' };

  test('five recipients in a row open it, four do not; a probe after a while closes it', async () => {
    const { ask, asked } = asking();
    for (let n = 0; n < 4; n += 1) await ask(`a${n}`, trouble);
    expect(await ask('b', sent)).toMatchObject(sent);
    for (let n = 0; n < 5; n += 1) await ask(`c${n}`, trouble);
    expect(asked()).toBe(10);
    expect(await ask('d', sent)).toMatchObject(held);
    expect(asked()).toBe(10);
    const now = Date.now();
    const clock = jest.spyOn(Date, 'now').mockImplementation(() => now + 60_000);
    expect(await ask('d', sent)).toMatchObject(sent);
    expect(await ask('d', sent)).toMatchObject(sent);
    clock.mockRestore();
    expect(asked()).toBe(12);
  });

  test('one recipient does not open it, however often', async () => {
    const { ask } = asking();
    for (let n = 0; n < 20; n += 1) await ask('a', trouble);
    expect(await ask('b', sent)).toMatchObject(sent);
  });

  test('a message counts once, however often it is tried', async () => {
    const { ask, asked } = asking();
    await Promise.all(['a', 'b', 'c', 'd'].map((recipient) => ask(recipient, { ...trouble, again: {} })));
    expect(asked()).toBe(12);
    expect(await ask('e', sent)).toMatchObject(sent);
  });

  test('failures of more than a minute ago do not count', async () => {
    const { ask } = asking();
    for (const recipient of ['a', 'b', 'c', 'd']) await ask(recipient, trouble);
    const now = Date.now();
    const clock = jest.spyOn(Date, 'now').mockImplementation(() => now + 61_000);
    await ask('e', trouble);
    expect(await ask('f', sent)).toMatchObject(sent);
    clock.mockRestore();
  });

  test('what is refused for its own sake does not count, and as a probe it closes', async () => {
    const { ask } = asking();
    for (let n = 0; n < 10; n += 1) expect((await ask(`a${n}`, { outcome: 'unregistered' })).outcome).toBe('unregistered');
    for (let n = 0; n < 5; n += 1) await ask(`b${n}`, trouble);
    const now = Date.now();
    const clock = jest.spyOn(Date, 'now').mockImplementation(() => now + 60_000);
    expect((await ask('c', { outcome: 'failed', again: { after: 600_000 } })).outcome).toBe('failed');
    expect(await ask('d', sent)).toMatchObject(sent);
    clock.mockRestore();
  });

  test('whoever waits for the probe of a message that has more time does not wait beyond its own', async () => {
    const name = provider();
    const send = (recipient: string, milliseconds: number, attempt: () => Promise<Attempt>): Promise<Attempt> =>
      deliver({ provider: name, recipient }, () => milliseconds, milliseconds, attempt);
    for (let n = 0; n < 5; n += 1) await send(`a${n}`, 5000, async () => trouble);
    const now = Date.now();
    const clock = jest.spyOn(Date, 'now').mockImplementation(() => now + 60_000);
    let answer: (attempt: Attempt) => void = () => undefined;
    const probe = send('b', 20_000, () => new Promise((resolve) => (answer = resolve)));
    expect(await send('c', 300, async () => sent)).toMatchObject(held);
    answer(sent);
    expect(await probe).toMatchObject(sent);
    clock.mockRestore();
  });
});

test.each([
  ['3', 3000],
  [' 0 ', 0],
  ['Thu, 01 Jan 2026 00:00:10 GMT', 10_000],
  ['Wed, 31 Dec 2025 23:59:00 GMT', 0],
  ['soon', undefined],
  ['-5', undefined],
  [undefined, undefined],
])('Retry-After: %j', (header, after) => {
  const clock = jest.spyOn(Date, 'now').mockReturnValue(Date.parse('2026-01-01T00:00:00Z'));
  expect(retryAfter(header).after).toBe(after);
  clock.mockRestore();
});
