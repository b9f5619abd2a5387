// Jobs of a newer release: this release's worker does not do them as something else, and leaves them to the newer worker.
import { Queue, Worker } from 'bullmq';
import { startOutsideWorld, type OutsideWorld } from './helpers/outside';
import { eventually, startSystem, type System } from './helpers/system';

let world: OutsideWorld;
let system: System;
const queues = new Map<string, Queue>();
beforeAll(async () => {
  world = await startOutsideWorld();
  system = await startSystem({ webs: 0, environment: { ...world.environment, MAIL_ALLOW_SELF_SIGNED: 'true' } });
});
afterAll(async () => {
  await Promise.all([...queues.values()].map((queue) => queue.close()));
  await system.stop();
  await world.close();
});
const optionsOf = (name: string): { connection: { url: string }; prefix: string } => ({
  connection: { url: system.environment['REDIS_URL'] ?? '' },
  prefix: `{${system.environment['QUEUE_PREFIX']}:${name}}`,
});
function queueOf(name: string): Queue {
  const queue = queues.get(name) ?? new Queue(name, optionsOf(name));
  queues.set(name, queue);
  return queue;
}

test('a mail of a kind that this release does not know is not the activation mail: it fails when its time is over', async () => {
  const { id } = await system.account('unknown-kind');
  await system.db.query("UPDATE accounts SET email = 'unknown@example.org', confirmation_key = '0042' WHERE id = $1", [id]);
  const payload = { kind: 'password_reset_of_v2', account_id: id, language: 'en' };
  const { id: job = '' } = await queueOf('email').add('new', { payload, deadline: Date.now() + 1000 });
  const done = await eventually(
    () => queueOf('email').getJob(job),
    (found) => found?.finishedOn !== undefined,
  );
  expect(done?.failedReason).toBe('failed: unknown_kind password_reset_of_v2');
  expect(world.mails).toEqual([]);
});

const push = { provider: 'fcm', param: 'linphone-test', prid: 'd' };
test.each([
  ['push', { kind: 'notification_of_v2', ...push }],
  ['push', { kind: 'notification', type: 'message', call_id: null, ...push, provider: 'hms' }],
  ['push', { kind: 'notification', type: 'reaction', call_id: null, ...push }],
  ['sms', { kind: 'new', account_id: 1 }],
  ['email', { kind: 'new', account_id: 1 }],
  ['messages', { kind: 'new', id: 1 }],
  ['api-keys', { task: 'new' }],
  ['statistics', { task: 'new' }],
  ['maintenance', { task: 'new' }],
  ['chores', { task: 'constructor' }],
] as const)('%s %j goes back for a newer worker, which does it', async (name, payload) => {
  const { id = '' } = await queueOf(name).add('new', { payload });
  await eventually(
    async () => (await queueOf(name).getJob(id))?.attemptsStarted ?? 0,
    (times) => times > 0,
  );
  const newer = new Worker(
    name,
    ({ id: taken, data }) => {
      if (taken !== id) throw new Error(`not this one: ${JSON.stringify(data)}`);
      return Promise.resolve('done by the newer');
    },
    optionsOf(name),
  );
  newer.on('error', () => undefined);
  const done = await eventually(
    () => queueOf(name).getJob(id),
    (found) => found?.finishedOn !== undefined,
    20,
  );
  await newer.close();
  expect([done?.returnvalue, done?.failedReason]).toEqual(['done by the newer', undefined]);
  expect([...world.fcm.received, ...world.mails]).toEqual([]);
});
test('one for which no request waits fails an hour after it was added', async () => {
  const { id = '' } = await queueOf('sms').add('new', { payload: { kind: 'new' } }, { timestamp: Date.now() - 3_601_000 });
  const done = await eventually(
    () => queueOf('sms').getJob(id),
    (found) => found?.finishedOn !== undefined,
  );
  expect(done?.failedReason).toBe('failed: unknown_kind new');
});
