// After a 503 no token is left that could be used or counts, whatever was lost on the way and whatever a worker does later.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { freePort } from '../src/start/ports';
import { Jobs } from './helpers/jobs';
import { startOutsideWorld, type OutsideWorld } from './helpers/outside';
import { eventually, startSystem, type Answer, type System } from './helpers/system';

let world: OutsideWorld;
beforeAll(async () => {
  world = await startOutsideWorld();
});
afterAll(() => world.close());
beforeEach(() => world.apnsDev.reset());

let serial = 0;
const newDevice = () => ({
  pn_provider: 'apns.dev',
  pn_param: 'TEAMID1234.org.linphone.phone',
  pn_prid: (serial += 1).toString(16).padStart(64, 'c'),
});
type Device = ReturnType<typeof newDevice>;
const ask = (system: System, body: Device): Promise<Answer> =>
  system.api('/account_creation_tokens/send-by-push', { method: 'POST', body });
const rowsOf = (system: System, { pn_prid }: Device) =>
  system.rows<{ id: number; token: string; send_state: string }>(
    'SELECT id, token, send_state FROM account_creation_tokens WHERE pn_prid = $1',
    [pn_prid],
  );
const pushed = (n = 0): string =>
  (world.apnsDev.received[n]?.body as { customPayload: { token: string } } | undefined)?.customPayload.token ?? '';
const use = (system: System, account_creation_token: string): Promise<Answer> =>
  system.api('/accounts/with-account-creation-token', {
    method: 'POST',
    body: { username: `stranger${(serial += 1)}`, password: 'password', algorithm: 'MD5', account_creation_token },
  });

/** The device has its token, which opens nothing; and it may ask again at once. */
async function expectNothingLeft(system: System, device: Device): Promise<void> {
  const refused = await use(system, pushed());
  expect([refused.status, Object.keys(refused.json['errors'] as object)]).toEqual([422, ['account_creation_token']]);
  world.apnsDev.release();
  await eventually(
    () => fetch(`${system.url}/health/ready`),
    ({ status }) => status === 200,
  );
  expect((await ask(system, device)).status).toBe(200);
  expect((await use(system, pushed(world.apnsDev.received.length - 1))).status).toBe(200);
  const first = await use(system, pushed());
  expect(first.status).toBe(422);
}

describe('Redis', () => {
  const binary = ['redis-server', 'valkey-server'].find((name) => spawnSync(name, ['--version']).status === 0) ?? 'redis-server';
  let server: ChildProcess;
  let system: System;
  let port: number;

  beforeAll(async () => {
    port = await freePort();
    server = spawn(binary, ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'], { stdio: 'ignore' });
    const client = new Redis({ port, host: '127.0.0.1' });
    client.on('error', () => undefined);
    await eventually(
      () => client.ping().catch(() => ''),
      (answer) => answer === 'PONG',
    );
    client.disconnect();
    system = await startSystem({ environment: { ...world.environment, REDIS_URL: `redis://127.0.0.1:${port}` } });
  });
  afterAll(async () => {
    server.kill('SIGCONT');
    await system.stop();
    server.kill('SIGKILL');
  });

  test('that is frozen while the push is under way: 503, and the token that arrives is good for nothing', async () => {
    const device = newDevice();
    world.apnsDev.mode = 'held';
    const asked = ask(system, device);
    await world.apnsDev.reached(1);
    server.kill('SIGSTOP');
    world.apnsDev.release();
    expect((await asked).status).toBe(503);
    server.kill('SIGCONT');
    await expectNothingLeft(system, device);
  });

  test('that holds back every result (CLIENT PAUSE)', async () => {
    const device = newDevice();
    world.apnsDev.mode = 'held';
    const asked = ask(system, device);
    await world.apnsDev.reached(1);
    const client = new Redis({ port, host: '127.0.0.1' });
    await client.call('CLIENT', 'PAUSE', '6000', 'WRITE');
    world.apnsDev.release();
    expect((await asked).status).toBe(503);
    await client.call('CLIENT', 'UNPAUSE');
    client.disconnect();
    await expectNothingLeft(system, device);
  });
});

describe('with PostgreSQL', () => {
  let system: System;
  beforeAll(async () => {
    system = await startSystem({ environment: world.environment });
  });
  afterAll(() => system.stop());

  test('a worker that is frozen in the send and goes on after the 503', async () => {
    const device = newDevice();
    world.apnsDev.mode = 'held';
    const asked = ask(system, device);
    await world.apnsDev.reached(1);
    system.workers[0]?.child.kill('SIGSTOP');
    world.apnsDev.release();
    expect((await asked).status).toBe(503);
    system.workers[0]?.child.kill('SIGCONT');
    await expectNothingLeft(system, device);
  });

  test('the row that cannot be confirmed in time: 503, and it is gone once the database can', async () => {
    const device = newDevice();
    world.apnsDev.mode = 'held';
    const asked = ask(system, device);
    await world.apnsDev.reached(1);
    const holder = await system.db.connect();
    await holder.query('BEGIN');
    await holder.query('SELECT 1 FROM account_creation_tokens WHERE pn_prid = $1 FOR UPDATE', [device.pn_prid]);
    world.apnsDev.release();
    expect((await asked).status).toBe(503);
    await holder.query('COMMIT');
    holder.release();
    await eventually(
      () => rowsOf(system, device),
      (rows) => rows.length === 0,
    );
    await expectNothingLeft(system, device);
  });

  test('a token that was confirmed is usable when the answer comes, and throttles the device', async () => {
    const device = newDevice();
    expect((await ask(system, device)).status).toBe(200);
    expect((await rowsOf(system, device)).map(({ send_state: state }) => state)).toEqual(['sent']);
    expect((await ask(system, device)).status).toBe(403);
    expect((await use(system, pushed())).status).toBe(200);
  });

  test('the last release’s web, which confirms nothing: the worker does', async () => {
    const device = newDevice();
    const jobs = new Jobs(system, 'push');
    const { pn_provider: provider, pn_param: param, pn_prid: prid } = device;
    expect(await jobs.outcome({ kind: 'creation_token', provider, param, prid, ip: null, user_agent: null })).toBe('sent');
    await jobs.close();
    expect((await rowsOf(system, device)).map(({ send_state: state }) => state)).toEqual(['sent']);
    expect((await use(system, pushed())).status).toBe(200);
  });
});

test('the last release’s worker, whose result names no row: its word counts', async () => {
  const system = await startSystem({ workers: 0, environment: world.environment });
  const worker = new Worker('push', async () => ({ outcome: 'sent' }), {
    connection: { url: system.environment['REDIS_URL'] ?? '' },
    prefix: `{${system.environment['QUEUE_PREFIX']}:push}`,
  });
  await worker.waitUntilReady();
  expect((await ask(system, newDevice())).status).toBe(200);
  await worker.close();
  await system.stop();
});
