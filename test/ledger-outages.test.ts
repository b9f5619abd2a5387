// The ledger of sends, where a worker dies or stops, or the database does not answer: no send without a row, none with two, and none done again.
import { startOutsideWorld, type OutsideWorld } from './helpers/outside';
import { Relay } from './helpers/relay';
import { eventually, startSystem, type Answer, type System } from './helpers/system';

let world: OutsideWorld;
let other: System;
let relay: Relay;
beforeAll(async () => {
  world = await startOutsideWorld();
  other = await startSystem({
    webs: 1,
    workers: 0,
    environment: { ...world.environment, WORKER_QUEUES: 'push', PUSH_TIMEOUT_SECONDS: '10' },
  });
  relay = await Relay.start(other.environment['DATABASE_URL'] ?? '');
});
beforeEach(async () => {
  world.apnsDev.reset();
  await other.rows('DELETE FROM sends');
});
afterAll(async () => {
  await other.stop();
  await relay.stop();
  await world.close();
});

let serial = Date.now();
const nextNumber = (): number => (serial += 1);
const newDevice = (): { pn_provider: string; pn_param: string; pn_prid: string } => ({
  pn_provider: 'apns.dev',
  pn_param: 'TEAMID1234.org.linphone.phone',
  pn_prid: nextNumber().toString(16).padStart(64, 'c'),
});
const throughRelay = (): string => {
  const url = new URL(other.environment['DATABASE_URL'] ?? '');
  url.port = String(relay.port);
  return url.href;
};
const push = (device: object): Promise<Answer> => other.api('/account_creation_tokens/send-by-push', { method: 'POST', body: device });
const rows = (): Promise<Record<string, unknown>[]> =>
  other.rows('SELECT state, outcome, reason, last_reason, attempts, ended_at IS NOT NULL AS ended FROM sends ORDER BY id');

test('a worker that is killed in the send leaves a row that is unknown after a while, and nobody sends it again', async () => {
  const worker = await other.startWorker();
  world.apnsDev.mode = 'hang';
  const asked = push(newDevice());
  await eventually(
    () => Promise.resolve(world.apnsDev.received.length),
    (count) => count === 1,
  );
  await worker.end('SIGKILL');
  expect(await rows()).toMatchObject([{ state: 'sending', outcome: null, ended: false }]);
  // Beside it one that is only just begun, and one that was made long ago and has its lease.
  await other.rows("UPDATE sends SET created_at = now() - interval '4 minutes'");
  await other.rows(`INSERT INTO sends (channel, kind, state, next_at) VALUES ('push', 'notification', 'sending', NULL)`);
  await other.rows(`INSERT INTO sends (channel, kind, state, next_at, lease_until, created_at)
    VALUES ('sms', 'account_creation', 'sending', NULL, now() + interval '1 minute', now() - interval '1 hour')`);
  const sweeper = await other.startWorker({ WORKER_QUEUES: 'maintenance' });
  await eventually(rows, ([first]) => first?.['ended'] === true, 30);
  expect(await rows()).toMatchObject([
    { state: 'unknown', outcome: 'unknown', reason: 'error' },
    { state: 'sending' },
    { state: 'sending' },
  ]);
  // It goes on from there: what has become old enough meanwhile is found as well.
  await other.rows("UPDATE sends SET created_at = now() - interval '178 seconds' WHERE kind = 'notification'");
  await eventually(rows, (all) => all[1]?.['ended'] === true, 30);
  expect((await asked).status).toBe(503);
  expect(world.apnsDev.received).toHaveLength(1);
  await sweeper.end();
}, 60_000);

test('where the database does not answer the push is sent and answered all the same, and recorded once it does', async () => {
  const worker = await other.startWorker({ DATABASE_URL: throughRelay() });
  world.apnsDev.mode = 'held';
  const asked = push(newDevice());
  await eventually(
    () => Promise.resolve(world.apnsDev.received.length),
    (count) => count === 1,
  );
  relay.delayMs = 60_000;
  const begun = Date.now();
  world.apnsDev.release();
  expect((await asked).status).toBe(200);
  expect(Date.now() - begun).toBeLessThan(4000);
  await new Promise((resolve) => setTimeout(resolve, 6000));
  expect(await rows()).toMatchObject([{ ended: false }]);
  relay.delayMs = 0;
  relay.cut();
  await eventually(rows, ([first]) => first?.['state'] === 'sent', 30);
  expect(world.apnsDev.received).toHaveLength(1);
  await worker.end();
}, 60_000);

test('a notification whose row could not be begun has one at the end, and never two', async () => {
  const worker = await other.startWorker({ DATABASE_URL: throughRelay() });
  const { key } = await other.account('caller');
  const notify = (): Promise<Answer> =>
    other.api('/push_notification', { method: 'POST', key, body: { ...newDevice(), type: 'background' } });
  expect((await notify()).status).toBe(200);
  relay.delayMs = 60_000;
  const begun = Date.now();
  expect((await notify()).status).toBe(200);
  expect(Date.now() - begun).toBeLessThan(4000);
  await new Promise((resolve) => setTimeout(resolve, 6000));
  relay.delayMs = 0;
  relay.cut();
  await eventually(rows, (all) => all.length === 2 && all.every(({ ended }) => ended === true), 40);
  expect(await rows()).toMatchObject([{ state: 'sent' }, { state: 'sent' }]);
  await worker.end();
}, 60_000);

test('a worker that is stopped has written what came of its sends', async () => {
  const worker = await other.startWorker();
  const asked = Promise.all(Array.from({ length: 20 }, () => push(newDevice())));
  expect((await asked).map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200));
  await worker.end();
  expect((await rows()).map(({ state }) => state)).toEqual(Array.from({ length: 20 }, () => 'sent'));
});

test('two workers: each send has one row', async () => {
  const workers = [await other.startWorker(), await other.startWorker()];
  const devices = Array.from({ length: 30 }, newDevice);
  const answers = await Promise.all([...devices, ...devices].map(push));
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(30);
  await eventually(rows, (all) => all.length === 60 && all.every(({ ended }) => ended === true));
  expect((await rows()).filter(({ outcome }) => outcome === 'already_sent')).toHaveLength(30);
  await Promise.all(workers.map((worker) => worker.end()));
});
