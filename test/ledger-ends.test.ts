// The end of rows of the ledger of sends: those of the release before, those of accounts and Spaces that go, and those that are old.
import { openQueue } from './helpers/jobs';
import { eventually, SPACE, startSystem, type System } from './helpers/system';

let other: System;
beforeAll(async () => {
  other = await startSystem({ webs: 1, workers: 0, environment: { WORKER_QUEUES: 'chores' } });
});
beforeEach(() => other.rows('DELETE FROM sends'));
afterAll(() => other.stop());

test('what the release before has ended is put right', async () => {
  const { id } = await other.account('from-before');
  await other.rows(
    `INSERT INTO sends (channel, kind, account_id, recipient, key_digest, state, next_at, ended_at, last_reason, created_at) VALUES
       ('email', 'account_creation', $1, 'john.doe@example.org', 'digest', 'sent', now(), now(), NULL, now()),
       ('sms', 'account_creation', $1, '+33612345678', NULL, 'failed', now(), NULL, 'Twilio 400', now())`,
    [id],
  );
  await other.rows(
    `INSERT INTO sends (channel, kind, account_id, recipient, code, state, next_at, ended_at, created_at)
     VALUES ('sms', 'account_recovery', $1, '+33612345679', '4711', 'unknown', now(), now(), now())`,
    [id],
  );
  const worker = await other.startWorker();
  const queue = openQueue(other, 'chores');
  await queue.add('clean', { payload: { task: 'clean' } });
  const cleaned = await eventually(
    () =>
      other.rows(
        'SELECT recipient, recipient_mask, country, outcome, reason, last_reason, code, key_digest, next_at, ended_at IS NOT NULL AS ended FROM sends ORDER BY id',
      ),
    (all) => all.every(({ next_at: next }) => next === null),
  );
  const gone = { recipient: null, code: null, key_digest: null, next_at: null, ended: true };
  expect(cleaned).toMatchObject([
    { ...gone, recipient_mask: 'j•••@example.org', outcome: 'sent', reason: null },
    { ...gone, recipient_mask: '+33•••78', country: 'FR', outcome: 'failed', last_reason: 'Twilio 400' },
    { ...gone, recipient_mask: '+33•••79', outcome: 'unknown' },
  ]);
  // It may have arrived: it is good.
  expect(await other.rows('SELECT confirmation_key FROM accounts WHERE id = $1', [id])).toEqual([{ confirmation_key: '4711' }]);
  await queue.close();
  await worker.end();
});

test('a deleted account, and a deleted Space, leave nothing in it; others stay', async () => {
  await other.space('gone.example.org');
  const [{ id: one }, { id: two }] = [
    await other.account('deleted-one'),
    await other.account('deleted-two', { domain: 'gone.example.org' }),
  ];
  const insert = (account: number | null, domain: string): Promise<unknown> =>
    other.rows(
      "INSERT INTO sends (channel, kind, state, account_id, domain, next_at) VALUES ('push', 'notification', 'sent', $1, $2, NULL)",
      [account, domain],
    );
  for (const [account, domain] of [
    [one, SPACE],
    [two, 'gone.example.org'],
    [null, 'gone.example.org'],
    [null, SPACE],
  ] as const)
    await insert(account, domain);
  const { key } = await other.account('super', { admin: true });
  expect((await other.api(`/accounts/${one}`, { method: 'DELETE', key })).status).toBe(200);
  expect((await other.api('/spaces/gone.example.org', { method: 'DELETE', key })).status).toBe(200);
  const worker = await other.startWorker();
  await eventually(
    () => other.rows('SELECT 1 FROM sends'),
    (all) => all.length === 1,
    30,
  );
  expect(await other.rows('SELECT account_id, domain FROM sends')).toEqual([{ account_id: null, domain: SPACE }]);
  await worker.end();
});

test('months: two ahead; those that are wholly older than the retention are dropped, rows of the month that is not are deleted', async () => {
  const own = await startSystem({ webs: 0, workers: 0, environment: { SENDS_RETENTION_DAYS: '40', WORKER_QUEUES: 'chores' } });
  const names = async (): Promise<string[]> =>
    (
      await own.rows<{ name: string }>(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'sends'::regclass ORDER BY 1",
      )
    ).map(({ name }) => name);
  const month = (months: number): string => {
    const now = new Date();
    return `sends_${new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + months, 1)).toISOString().slice(0, 7).replace('-', '_')}`;
  };
  expect(await names()).toEqual([-1, 0, 1, 2].map(month).concat('sends_default').toSorted());
  await own.rows(`CREATE TABLE ${month(-3)} PARTITION OF sends FOR VALUES FROM ('${new Date(Date.UTC(new Date().getUTCFullYear(), new Date().getUTCMonth() - 3, 1)).toISOString()}')
    TO ('${new Date(Date.UTC(new Date().getUTCFullYear(), new Date().getUTCMonth() - 2, 1)).toISOString()}')`);
  await own.rows(`INSERT INTO sends (channel, kind, state, next_at, created_at)
    SELECT 'push', 'notification', 'sent', NULL, now() - days * interval '1 day' FROM unnest(ARRAY[0, 39, 41, 75]) AS days`);
  const worker = await own.startWorker();
  const queue = openQueue(own, 'chores');
  for (const task of ['partitions', 'clean']) await queue.add(task, { payload: { task } });
  await eventually(names, (all) => !all.includes(month(-3)));
  await eventually(
    () => own.rows('SELECT 1 FROM sends'),
    (all) => all.length === 2,
  );
  await queue.close();
  await worker.end();
  await own.stop();
});
