// What goes on beyond the request that happened to begin it is in nobody's name: its lines in the log have no request's id, and no request's time binds it.
import { context, inBackground } from '../src/infra/context';
import { DatabaseTime } from '../src/infra/database-time';
import { loadedOnce } from '../src/infra/lazy';
import { sharedFor } from '../src/infra/shared';
import { Batcher } from '../src/services/statistics/batcher';
import { freePort } from '../src/start/ports';
import { StatementCounter } from './helpers/statements';
import { eventually, startSystem, type System } from './helpers/system';

const asStranger = <T>(work: () => T): T => context.run({ request_id: 'a-stranger', databaseTime: new DatabaseTime() }, work);
const nameNow = (): Promise<string | undefined> => Promise.resolve(context.getStore()?.request_id);

test.each<[string, () => Promise<unknown>]>([
  ['what is shared', () => sharedFor(1000, nameNow)()],
  ['what is loaded', () => loadedOnce(nameNow)()],
  ['what is sent to the database together', () => new Batcher(async () => [await nameNow()]).submit('x')],
  ['a timer', () => new Promise((resolve) => inBackground(() => setTimeout(() => resolve(nameNow()), 1)))],
])('%s', async (_name, work) => {
  expect(await asStranger(work)).toBeUndefined();
  expect(await asStranger(nameNow)).toBe('a-stranger');
});

describe('from outside', () => {
  let system: System;
  let counter: StatementCounter;
  let key: string;
  beforeAll(async () => {
    system = await startSystem({ webs: 0, workers: 0 });
    counter = await StatementCounter.start(system.environment['DATABASE_URL'] ?? '');
    await system.startWeb({ DATABASE_URL: counter.url, FLEXISIP_REDIS_URL: `redis://127.0.0.1:${await freePort()}` });
    ({ key } = await system.account('the-stranger'));
  });
  afterAll(() => system.stop());

  const lineOf = async (message: string): Promise<Record<string, unknown>> =>
    JSON.parse(
      await eventually(
        () => Promise.resolve((system.webs[0]?.output() ?? '').split('\n').find((line) => line.includes(message)) ?? ''),
        (line) => line !== '',
      ),
    ) as Record<string, unknown>;

  test('a connection that a request was the first to need', async () => {
    const { status } = await system.api('/accounts/me/devices', { key, headers: { 'x-request-id': 'asks-for-devices' } });
    expect(status).toBe(503);
    // Its own line has its id, the connection's has none.
    expect(await lineOf("the registrar's Redis did not answer")).toHaveProperty('request_id', 'asks-for-devices');
    expect(await lineOf("the registrar's Redis does not answer")).not.toHaveProperty('request_id');
  });

  test('uses of keys that are written later', async () => {
    expect((await system.api('/accounts/me', { key, headers: { 'x-request-id': 'uses-a-key' } })).status).toBe(200);
    await counter.stop();
    expect(await lineOf('uses of API keys are not written yet')).not.toHaveProperty('request_id');
  });
});
