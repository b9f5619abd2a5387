// The ledger of sends as people read it: who sees which rows, what they are found by, pages, CSV, figures, and what each of these costs.
import { ledgerRecipient as ledgerRecipientOf } from '../src/services/messaging/recipients';
import { namedKey } from './helpers/named-keys';
import { SPACE, startSystem, type Account, type Answer, type System } from './helpers/system';

const TENANT = 'tenant.example.org';
let system: System;
let superAdmin: Account;
let admin: Account;
let person: Account;
let ledgerRecipient: typeof ledgerRecipientOf;

type Row = Record<string, unknown>;
const read = (query = '', key = superAdmin.key, headers: Record<string, string> = {}): Promise<Answer> =>
  system.api(`/sends${query}`, { key, headers });
const data = ({ json }: Answer): Row[] => json['data'] as Row[];
const ids = (answer: Answer): unknown[] => data(answer).map(({ id }) => id);

/** A row as a worker has left it. */
async function send(row: Row): Promise<number> {
  const { to, ...given } = row;
  const all: Row = {
    channel: 'email',
    kind: 'email_change',
    state: 'sent',
    outcome: 'sent',
    domain: SPACE,
    attempts: 1,
    next_at: null,
    ended_at: new Date(),
    ...(to === undefined ? {} : ledgerRecipient((given['channel'] ?? 'email') as 'email', to as string)),
    ...given,
  };
  const columns = Object.keys(all);
  const [made] = await system.rows<{ id: number }>(
    `INSERT INTO sends (${columns.join(', ')}) VALUES (${columns.map((_, n) => `$${n + 1}`).join(', ')}) RETURNING id`,
    Object.values(all),
  );
  return made?.id ?? 0;
}
const ago = (minutes: number): Date => new Date(Date.now() - minutes * 60_000);

beforeAll(async () => {
  system = await startSystem({
    webs: 1,
    workers: 0,
    environment: { APP_KEY: 'the ledger is read by this secret', APP_DANGEROUS_ENDPOINTS: 'true' },
  });
  Object.assign(process.env, system.environment);
  jest.resetModules();
  ({ ledgerRecipient } = await import('../src/services/messaging/recipients.js'));
  superAdmin = await system.account('reader-super', { admin: true });
  await system.space(TENANT);
  admin = await system.account('reader-admin', { domain: TENANT, admin: true });
  person = await system.account('reader', { domain: TENANT });
});
afterAll(() => system.stop());
beforeEach(() => system.rows('DELETE FROM sends'));

describe('whose rows', () => {
  test('an admin: of the own Space; a super admin: all, or a Space; nobody else any', async () => {
    const own = await send({ domain: TENANT, created_at: ago(1) });
    const other = await send({ domain: SPACE, created_at: ago(2) });
    const nobodys = await send({ domain: null, created_at: ago(3) });
    expect(ids(await read())).toEqual([own, other, nobodys]);
    expect(ids(await read(`?domain=${TENANT.toUpperCase()}`))).toEqual([own]);
    expect(ids(await read('', admin.key))).toEqual([own]);
    expect(ids(await read(`?domain=${TENANT}`, admin.key))).toEqual([own]);
    expect((await read(`?domain=${SPACE}`, admin.key)).status).toBe(404);
    expect((await read('', person.key)).status).toBe(403);
    expect((await system.api('/sends')).status).toBe(401);
    expect(ids(await read('', await namedKey(system, admin.id, ['accounts:read'])))).toEqual([own]);
    expect((await read('', await namedKey(system, admin.id, ['statistics:read']))).status).toBe(403);
    const summary = await system.api('/sends/summary', { key: admin.key });
    expect(summary.json['channels']).toMatchObject([{ channel: 'email', sends: 1 }]);
    expect((await system.api(`/sends/summary?domain=${SPACE}`, { key: admin.key })).status).toBe(404);
  });

  test('of an account: whoever sees it sees all that was sent for it', async () => {
    const moved = await send({ account_id: person.id, domain: SPACE, created_at: ago(1) });
    const sent = await send({ account_id: person.id, domain: TENANT, created_at: ago(2) });
    await send({ account_id: admin.id, domain: TENANT });
    const of = (id: number, key: string, query = ''): Promise<Answer> => system.api(`/accounts/${id}/sends${query}`, { key });
    expect(ids(await of(person.id, admin.key))).toEqual([moved, sent]);
    expect(ids(await of(person.id, admin.key, '?limit=1'))).toEqual([moved]);
    expect(ids(await read(`?account=${person.id}`, admin.key))).toEqual([sent]);
    expect((await of(superAdmin.id, admin.key)).status).toBe(404);
    expect((await of(999_999, superAdmin.key)).status).toBe(404);
  });
});

describe('what they are found by', () => {
  test.each([
    ['email', 'jane.doe@example.org', ['jane.doe@example.org', ' JANE.DOE@Example.org ', '"jane.doe"@example.org']],
    ['sms', '+33612345678', ['+33612345678', '+33 6 12 34 56 78', '(+33) 6-12-34-56-78', 'tel:+33612345678']],
    ['message', 'bob@sip.example.org', ['bob@sip.example.org', 'sip:bob@sip.example.org', 'sip:Bob@SIP.example.org']],
    ['push', 'ab'.repeat(32), ['ab'.repeat(32), `${'ab'.repeat(32)}:remote`]],
    ['push', 'fcm-device:APA91b_x-y', ['fcm-device:APA91b_x-y']],
  ])('a recipient of %s, as people write it: %s', async (channel, to, spellings) => {
    const id = await send({ channel, to });
    await send({ channel, to: 'nobody@else.example.org' });
    for (const spelling of spellings) {
      expect(ids(await read(`?recipient=${encodeURIComponent(spelling)}`))).toEqual([id]);
      expect(ids(await read(`?channel=${channel}&recipient=${encodeURIComponent(spelling)}`))).toEqual([id]);
    }
    expect(ids(await read(`?recipient=${encodeURIComponent(`x${to}`)}`))).toEqual([]);
  });

  test('channel, kind, state, outcome, reason, request and moments, all at once', async () => {
    const moments = { sent: ago(60), failed: ago(40), due: ago(20) };
    const sent = await send({ created_at: moments.sent, request_id: 'request-1' });
    const failed = await send({
      channel: 'push',
      kind: 'creation_token',
      state: 'failed',
      outcome: 'unregistered',
      reason: 'device_unknown',
      created_at: moments.failed,
      request_id: 'request-2',
    });
    // As the release before ends one.
    const older = await send({ state: 'failed', outcome: null, created_at: ago(30) });
    const due = await send({ state: 'due', outcome: null, kind: 'account_ready', created_at: moments.due, ended_at: null });
    const found = async (query: string): Promise<unknown[]> => ids(await read(query));
    expect(await found('')).toEqual([due, older, failed, sent]);
    expect(await found('?channel=push')).toEqual([failed]);
    expect(await found('?kind=account_ready')).toEqual([due]);
    expect(await found('?state=failed')).toEqual([older, failed]);
    expect(await found('?outcome=failed')).toEqual([older]);
    expect(await found('?outcome=unregistered')).toEqual([failed]);
    expect(await found('?reason=device_unknown')).toEqual([failed]);
    expect(await found('?request_id=request-1')).toEqual([sent]);
    expect(await found(`?since=${moments.failed.toISOString()}&until=${moments.due.toISOString()}`)).toEqual([older, failed]);
    expect(await found('?channel=push&state=sent')).toEqual([]);
  });

  test('older than a week: by recipient, by account, or where it is asked for', async () => {
    const old = await send({ to: 'old@example.org', account_id: person.id, created_at: ago(60 * 24 * 20) });
    expect(ids(await read())).toEqual([]);
    expect(ids(await read('?recipient=old@example.org'))).toEqual([old]);
    expect(ids(await read(`?account=${person.id}`))).toEqual([old]);
    expect(ids(await read(`?since=${ago(60 * 24 * 30).toISOString()}`))).toEqual([old]);
  });

  test.each([
    ['channel=fax', 'channel'],
    ['kind=spam', 'kind'],
    ['state=lost', 'state'],
    ['outcome=maybe', 'outcome'],
    ['reason=because', 'reason'],
    ['account=0', 'account'],
    ['account=bob', 'account'],
    ['since=yesterday', 'since'],
    ['until=2026-13-01', 'until'],
    ['since=2026-02-01&until=2026-01-01', 'until'],
    ['cursor=x', 'cursor'],
    ['limit=0', 'limit'],
    ['limit=501', 'limit'],
  ])('%s is 422, which names the field', async (query, field) => {
    const { status, json } = await read(`?${query}`);
    expect([status, Object.keys(json['errors'] as object)]).toEqual([422, [field]]);
  });
});

test('pages: each row once, also where many have one moment, and new ones come meanwhile', async () => {
  const moment = ago(5);
  const made: number[] = [];
  for (let n = 0; n < 25; n += 1) made.push(await send({ created_at: n < 20 ? moment : ago(10 + n) }));
  const seen: number[] = [];
  let cursor: string | null = null;
  do {
    const page: Answer = await read(`?limit=7${cursor === null ? '' : `&cursor=${cursor}`}`);
    seen.push(...(ids(page) as number[]));
    cursor = page.json['next_cursor'] as string | null;
    await send({ created_at: new Date() });
  } while (cursor !== null);
  expect(seen.toSorted((a, b) => a - b)).toEqual(made.toSorted((a, b) => a - b));
  expect(new Set(seen).size).toBe(25);
});

test('a row shows what operators need, and nothing of what was sent', async () => {
  await send({
    channel: 'sms',
    kind: 'phone_change',
    to: '+33612345678',
    state: 'failed',
    outcome: 'unregistered',
    reason: 'recipient_refused',
    provider: 'twilio',
    provider_code: '21211',
    last_reason: 'Twilio 400 21211',
    account_id: person.id,
    queued_ms: 12,
    provider_ms: 345,
    request_id: 'request-9',
    delivery: 'undelivered',
    delivered_at: new Date('2026-01-31T09:08:07.123Z'),
  });
  const [row] = data(await read());
  expect(row).toMatchObject({
    channel: 'sms',
    kind: 'phone_change',
    account_id: person.id,
    recipient: '+33•••78',
    country: 'FR',
    phone_prefix: '33-612',
    provider: 'twilio',
    state: 'failed',
    outcome: 'unregistered',
    reason: 'recipient_refused',
    provider_code: '21211',
    detail: 'Twilio 400 21211',
    attempts: 1,
    queued_ms: 12,
    provider_ms: 345,
    request_id: 'request-9',
    delivery: 'undelivered',
    delivered_at: '2026-01-31T09:08:07.123000Z',
    converted_at: null,
  });
  // One that no worker of this release has taken: its address is whole in the row alone, and its code is nobody's.
  await send({
    state: 'due',
    outcome: null,
    ended_at: null,
    kind: 'account_creation',
    recipient: 'jane@example.org',
    code: '4711',
    created_at: ago(-1),
  });
  const answer = await read('?state=due');
  expect(data(answer)[0]).toMatchObject({ recipient: 'j•••@example.org' });
  expect(answer.text).not.toMatch(/jane|4711/);
});

test('a message that waits for its first worker is found by its recipient, by admins of its Space', async () => {
  await system.rows("INSERT INTO account_creation_tokens (token, created_at) VALUES ('awaitsworker1', now())");
  const made = await system.api('/accounts/public', {
    method: 'POST',
    body: {
      username: 'awaited',
      password: 'password',
      algorithm: 'MD5',
      email: 'awaited@example.org',
      account_creation_token: 'awaitsworker1',
    },
  });
  expect([made.status, made.json['errors']]).toEqual([200, undefined]);
  const { key } = await system.account('reader-of-the-space', { admin: true });
  expect(data(await read('?recipient=awaited@example.org', key))).toMatchObject([
    { state: 'due', recipient: 'a•••@example.org', domain: SPACE, account_id: made.json['id'], attempts: 0 },
  ]);
});

test('CSV: the same rows and columns, no formula, and where it goes on', async () => {
  await send({ last_reason: '=HYPERLINK("http://evil.example.org")', provider_code: '-1+1', created_at: ago(2) });
  await send({ last_reason: 'a, "b"\nc' });
  const csv = await read('?limit=1', superAdmin.key, { accept: 'text/csv' });
  expect([csv.status, csv.headers.get('content-type')]).toEqual([200, 'text/csv; charset=utf-8']);
  expect(csv.headers.get('content-disposition')).toMatch(/^attachment; filename="sends-\d{4}-\d\d-\d\d\.csv"$/);
  const cursor = csv.headers.get('x-next-cursor') ?? '';
  const next = await read(`?limit=1&cursor=${cursor}`, superAdmin.key, { accept: 'text/csv' });
  expect(next.headers.get('x-next-cursor')).toBeNull();
  expect(csv.text).toContain('"a, ""b""\nc"');
  expect(next.text).toContain(`'=HYPERLINK`);
  expect(next.text).toContain(`'-1+1`);
  const [json] = data(await read());
  expect(csv.text.split('\n')[0]?.split(',')).toEqual(Object.keys(json ?? {}));
});

describe('figures', () => {
  const summary = (query = '', key = superAdmin.key): Promise<Answer> => system.api(`/sends/summary${query}`, { key });

  test('by hour and outcome, percentiles by channel, failures by reason', async () => {
    const hour = new Date('2026-03-01T10:20:00Z');
    const at = (minutes: number): Date => new Date(hour.getTime() + minutes * 60_000);
    for (let n = 1; n <= 10; n += 1)
      await send({ created_at: at(0), queued_ms: n, provider_ms: n * 100, ...(n <= 3 ? { converted_at: at(5) } : {}) });
    const push = { channel: 'push', kind: 'creation_token' };
    await send({ ...push, state: 'failed', outcome: 'already_sent', reason: 'already_sent', created_at: at(60) });
    for (let n = 0; n < 3; n += 1)
      await send({
        ...push,
        provider: 'apns',
        state: 'failed',
        outcome: 'unregistered',
        reason: 'device_unknown',
        provider_code: 'Unregistered',
        created_at: at(60 + n),
      });
    await send({ ...push, state: 'unknown', outcome: 'unknown', reason: 'timeout', created_at: at(61) });
    await send({ ...push, state: 'sending', outcome: null, ended_at: null, created_at: at(61) });
    await send({ created_at: at(60 * 24) });
    const { json } = await summary('?since=2026-03-01&until=2026-03-02');
    expect(json).toMatchObject({
      since: '2026-03-01T00:00:00.000000Z',
      until: '2026-03-02T00:00:00.000000Z',
      hours: [
        { hour: '2026-03-01T10:00:00.000000Z', sent: 10, refused: 0, failed: 0, unknown: 0, pending: 0 },
        { hour: '2026-03-01T11:00:00.000000Z', sent: 0, refused: 1, failed: 3, unknown: 1, pending: 1 },
      ],
      channels: [
        { channel: 'email', sends: 10, sent: 10, converted: 3, queued_p50: 5, queued_p90: 9, queued_p99: 10, provider_p50: 500 },
        { channel: 'push', sends: 6, sent: 0, converted: 0, queued_p50: null, provider_p99: null },
      ],
      reasons: [
        { reason: 'device_unknown', channel: 'push', provider: 'apns', provider_code: 'Unregistered', sends: 3 },
        expect.objectContaining({ sends: 1 }) as object,
        expect.objectContaining({ sends: 1 }) as object,
      ],
    });
    expect((await summary('?since=2026-03-01&until=2026-03-02&channel=push')).json['channels']).toMatchObject([{ channel: 'push' }]);
    expect((await summary()).json).toMatchObject({ hours: [], channels: [], reasons: [] });
  });

  test.each([
    ['since=2026-01-01&until=2026-03-01', 'since'],
    ['since=2026-03-01&until=2026-03-01', 'until'],
    ['channel=fax', 'channel'],
  ])('%s is 422, which names the field', async (query, field) => {
    const { status, json } = await summary(`?${query}`);
    expect([status, Object.keys(json['errors'] as object)]).toEqual([422, [field]]);
  });
});

describe('a day of 100,000 sends, of which 3 % fail, beside a month of others', () => {
  const timed = async (ask: () => Promise<Answer>): Promise<{ answer: Answer; milliseconds: number }> => {
    await ask();
    const began = performance.now();
    const answer = await ask();
    return { answer, milliseconds: performance.now() - began };
  };

  test('each list is found by an index, and does not wait for anything', async () => {
    await system.rows(`
      INSERT INTO sends (channel, kind, account_id, domain, recipient_hash, recipient_mask, provider, state, outcome, reason, attempts, queued_ms,
                         provider_ms, next_at, ended_at, request_id, created_at)
      SELECT (ARRAY['push', 'sms', 'email', 'message'])[1 + n % 4], 'notification', CASE WHEN n % 500 = 0 THEN ${person.id} END,
             CASE WHEN n % 5 = 0 THEN '${TENANT}' ELSE '${SPACE}' END, md5((n % 20000)::text), 'x', 'apns',
             CASE WHEN n % 33 = 0 THEN 'failed' ELSE 'sent' END, CASE WHEN n % 33 = 0 THEN 'refused' ELSE 'sent' END,
             CASE WHEN n % 33 = 0 THEN 'provider_refused' END, 1, n % 50, n % 900, NULL, now(), 'request-' || n,
             now() - n * interval '0.86 seconds'
        FROM generate_series(1, 100000) AS n`);
    const { recipient_hash } = ledgerRecipient('email', 'wanted@example.org');
    await system.rows('UPDATE sends SET recipient_hash = $1 WHERE id IN (SELECT id FROM sends ORDER BY created_at LIMIT 8)', [
      recipient_hash,
    ]);
    await system.rows('VACUUM (ANALYZE) sends');
    const asked: [string, () => Promise<Answer>, rows: number][] = [
      ['by recipient', () => read('?recipient=wanted@example.org'), 8],
      ['by recipient, of a Space', () => read('?channel=email&recipient=wanted@example.org', admin.key), 1],
      ['by account', () => system.api(`/accounts/${person.id}/sends`, { key: admin.key }), 100],
      ['of a Space', () => read('', admin.key), 100],
      ['the newest', () => read(), 100],
      ['failed ones', () => read('?state=failed&reason=provider_refused'), 100],
    ];
    const measured: Record<string, number> = {};
    for (const [what, ask, rows] of asked) {
      const { answer, milliseconds } = await timed(ask);
      measured[what] = Math.round(milliseconds);
      if (what !== 'by recipient, of a Space') expect([what, data(answer).length]).toEqual([what, rows]);
      // Of an idle machine a few; it is the plan that is held below.
      expect([what, milliseconds < 500]).toEqual([what, true]);
    }
    const figures = await timed(() => system.api('/sends/summary', { key: superAdmin.key }));
    measured['figures of the day'] = Math.round(figures.milliseconds);
    expect((figures.answer.json['hours'] as unknown[]).length).toBeGreaterThanOrEqual(24);
    process.stdout.write(`${JSON.stringify(measured)}\n`);

    // The day may lie in two months; other partitions are empty, and read through in no time.
    const filled = (
      await system.rows<{ name: string }>(
        "SELECT c.relname AS name FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = 'sends'::regclass AND c.reltuples > 5000",
      )
    ).map(({ name }) => name);
    expect(filled.length).toBeGreaterThan(0);
    const plan = async (where: string, limit = 'ORDER BY created_at DESC, id DESC LIMIT 101'): Promise<string> =>
      (await system.rows<{ 'QUERY PLAN': string }>(`EXPLAIN SELECT * FROM sends WHERE ${where} ${limit}`))
        .map((line) => line['QUERY PLAN'])
        .join('\n');
    for (const [where, index] of [
      [`recipient_hash IN ('${recipient_hash}', 'x')`, 'recipient_hash'],
      [`account_id = ${person.id}`, 'account_id'],
      [`domain = '${TENANT}'`, 'domain'],
      ["created_at >= now() - interval '7 days'", 'created_at'],
      ["created_at >= now() - interval '7 days' AND state = 'failed'", 'created_at'],
      ["(created_at, id) < (now() - interval '1 hour', 7)", 'created_at'],
    ] as const) {
      const text = await plan(where);
      for (const name of filled) {
        expect([where, text]).toEqual([where, expect.not.stringMatching(`Seq Scan on ${name}\\b`)]);
        expect([where, text]).toEqual([
          where,
          expect.stringMatching(`(?:Index(?: Only)? Scan .*|Bitmap Index Scan) (?:on|using) ${name}_\\w*${index}`),
        ]);
      }
    }
  }, 120_000);
});
