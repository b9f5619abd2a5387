// A send that no worker takes has its row in the ledger all the same: who asked for it and was told 503 is found.
import { killServers, serve } from './helpers/redis';
import { eventually, SPACE, startSystem, type Account, type Answer, type System } from './helpers/system';

const environment = {
  PUSH_TIMEOUT_SECONDS: '1',
  EMAIL_TIMEOUT_SECONDS: '1',
  APP_DANGEROUS_ENDPOINTS: 'true',
  APP_LINPHONE_DAEMON_UNIX_PATH: '/nowhere',
};
const device = { pn_provider: 'apns.dev', pn_param: 'TEAMID1234.org.linphone.phone', pn_prid: 'c'.repeat(64) };
let system: System;
let person: Account;

/** A system, and somebody who may ask for everything. */
async function start(more: Record<string, string> = {}): Promise<void> {
  system = await startSystem({ webs: 1, workers: 0, environment: { ...environment, ...more } });
  person = await system.account('person', { admin: true });
  await system.rows("INSERT INTO account_creation_tokens (token, used, account_id, created_at) VALUES ('used', true, $1, now())", [
    person.id,
  ]);
}
afterEach(() => system.stop());
afterAll(() => killServers());

const idOf = (path: string): string => `asked${path.replaceAll('/', '-')}`;
const post = (path: string, body: object): Promise<Answer> =>
  system.api(path, { method: 'POST', key: person.key, body, headers: { 'x-request-id': idOf(path) } });
const askAll = (): Promise<Answer[]> =>
  Promise.all([
    post('/account_creation_tokens/send-by-push', device),
    post('/push_notification', { ...device, type: 'background' }),
    post('/accounts/me/email/request', { email: 'bob@example.org' }),
    post('/messages', { to: `sip:alice@${SPACE}`, body: 'hello' }),
  ]);
const rows = (): Promise<Record<string, unknown>[]> =>
  system.rows(`SELECT kind, state, outcome, reason, account_id, domain, provider, recipient, recipient_mask, queued_ms, attempts, request_id,
                      ended_at IS NOT NULL AS ended FROM sends ORDER BY kind`);
const expected = (reason: string, outcome = 'failed'): object[] =>
  (
    [
      ['creation_token', null, 'apns.dev', 'cccc•••cccc', '/account_creation_tokens/send-by-push'],
      ['email_change', person.id, 'smtp', 'b•••@example.org', '/accounts/me/email/request'],
      ['message', person.id, 'linphone-daemon', `a•••@${SPACE}`, '/messages'],
      ['notification', person.id, 'apns.dev', 'cccc•••cccc', '/push_notification'],
    ] as const
  ).map(([kind, account_id, provider, recipient_mask, path]) => ({
    kind,
    state: 'failed',
    outcome,
    reason,
    account_id,
    domain: SPACE,
    provider,
    recipient: null,
    recipient_mask,
    queued_ms: null,
    attempts: 0,
    request_id: idOf(path),
    ended: true,
  }));

test('no worker: each has one row, also once a worker is there', async () => {
  await start();
  const answers = await askAll();
  expect(answers.map(({ status, json }) => [status, json['reason']])).toEqual(Array.from({ length: 4 }, () => [503, 'no_worker']));
  await eventually(rows, ({ length }) => length === 4);
  expect(await rows()).toEqual(expected('no_worker'));
  await system.startWorker();
  await new Promise((resolve) => setTimeout(resolve, 2000));
  expect(await rows()).toEqual(expected('no_worker'));
}, 60_000);

test('queues that do not answer: the same', async () => {
  const redis = await serve([]);
  await start({ REDIS_URL: `redis://127.0.0.1:${redis.port}` });
  redis.freeze();
  try {
    const answers = await askAll();
    expect(answers.map(({ status, json }) => [status, json['reason']])).toEqual(Array.from({ length: 4 }, () => [503, 'queues_away']));
    await eventually(rows, ({ length }) => length === 4);
    expect(await rows()).toEqual(expected('queues_away'));
  } finally {
    redis.thaw();
  }
}, 60_000);

test('a web process that ends has written them', async () => {
  await start();
  const asked = post('/push_notification', { ...device, type: 'background' });
  await new Promise((resolve) => setTimeout(resolve, 300));
  await system.webs[0]?.end();
  expect((await asked).status).toBe(503);
  expect(await rows()).toMatchObject([{ kind: 'notification', reason: 'no_worker' }]);
}, 60_000);
