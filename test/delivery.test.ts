// How a provider is asked: time, tries, breaker.
import { deliver, type Attempt } from '../workers/providers/delivery';

let serial = 0;
const provider = (): string => `provider ${(serial += 1)}`;
const sent: Attempt = { outcome: 'sent' };
const trouble: Attempt = { outcome: 'failed', reason: '503', trouble: true };

test('nothing is started where no time is left', async () => {
  let asked = 0;
  const result = await deliver(
    provider(),
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
      provider(),
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
    provider(),
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

test('one failure opens no breaker, five in a row do; a probe after a while closes it', async () => {
  const name = provider();
  let asked = 0;
  const ask = (attempt: Attempt): Promise<Attempt> =>
    deliver(
      name,
      () => 5000,
      5000,
      async () => {
        asked += 1;
        return attempt;
      },
    );
  for (let n = 0; n < 4; n += 1) await ask(trouble);
  expect(await ask(sent)).toEqual(sent);
  for (let n = 0; n < 5; n += 1) await ask(trouble);
  expect(asked).toBe(10);
  expect(await ask(sent)).toEqual({ outcome: 'failed', reason: 'the provider keeps failing' });
  expect(asked).toBe(10);
  const now = Date.now();
  const clock = jest.spyOn(Date, 'now').mockImplementation(() => now + 60_000);
  expect(await ask(sent)).toEqual(sent);
  expect(await ask(sent)).toEqual(sent);
  clock.mockRestore();
  expect(asked).toBe(12);
});

test('a message that is refused for its own sake opens no breaker', async () => {
  const name = provider();
  for (let n = 0; n < 10; n += 1)
    expect(
      (
        await deliver(
          name,
          () => 5000,
          5000,
          async () => ({ outcome: 'unregistered' }),
        )
      ).outcome,
    ).toBe('unregistered');
});
