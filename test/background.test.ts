// What goes on beyond the request that happened to begin it is in nobody's name: its lines in the log have no request's id, and no request's time binds it.
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { context, inBackground } from '../src/infra/context';
import { DatabaseTime } from '../src/infra/database-time';
import { loadedOnce } from '../src/infra/lazy';
import { openDatabase } from '../src/infra/sequelize';
import { sharedFor } from '../src/infra/shared';
import { Batcher } from '../src/infra/batcher';
import { freePort } from '../src/start/ports';
import { Relay } from './helpers/relay';
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

test('an outage of a Redis and its end, whoever’s command has met them', () => {
  const script = `
    const { context } = require('./dist/src/infra/context.js');
    const { Outage } = require('./dist/src/infra/redis-outage.js');
    context.run({ request_id: 'a-stranger' }, () => {
      const outage = new Outage('It');
      outage.trouble('ECONNRESET');
      setTimeout(() => outage.calm(), 3100);
    });`;
  const output = execFileSync(process.execPath, ['-e', script], {
    cwd: path.join(__dirname, '..'),
    encoding: 'utf8',
    env: { PATH: process.env['PATH'] ?? '' },
  });
  const lines = output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(lines.map(({ msg, request_id }) => [msg, request_id])).toEqual([
    ['It does not answer', undefined],
    ['It answers again', undefined],
  ]);
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

  test('a connection to PostgreSQL that others wait for, too, is not bound by the time of who asked first', async () => {
    const url = system.environment['DATABASE_URL'] ?? '';
    let connections = 0;
    const relay = await Relay.start(url, () => {
      connections += 1;
      return {};
    });
    relay.delayMs = 100;
    const opened = openDatabase({ url: relay.through(url), poolSize: 1 });
    const hurried = context.run({ request_id: 'in-a-hurry', databaseTime: new DatabaseTime(50) }, () => opened.query('SELECT 1'));
    await Promise.all([expect(hurried).rejects.toThrow(), expect(opened.query('SELECT 1')).resolves.toBeDefined()]);
    expect(connections).toBe(2);
    await opened.close();
    await relay.stop();
  });

  test('uses of keys that are written later', async () => {
    expect((await system.api('/accounts/me', { key, headers: { 'x-request-id': 'uses-a-key' } })).status).toBe(200);
    await counter.stop();
    expect(await lineOf('uses of API keys are not written yet')).not.toHaveProperty('request_id');
  });
});
