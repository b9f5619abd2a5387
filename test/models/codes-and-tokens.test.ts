// What models of codes, tokens and messages decide by themselves: who may send, what counts, what is over.
import { loadModels, type Models } from '../helpers/models';
import { eventually, startSystem, type System } from '../helpers/system';

let system: System;
let models: Models['models'];
let close: Models['close'];
let id: number;

beforeAll(async () => {
  system = await startSystem({ webs: 0, workers: 0 });
  ({ models, close } = await loadModels(system));
});
afterAll(async () => {
  await close();
  await system.stop();
});
beforeEach(async () => {
  ({ id } = await system.account(`owner-${Math.random()}`));
});

/** Rows as a process would have left them; ages and deadlines in seconds from now. */
async function insertCode(
  channel: 'email' | 'phone',
  state: string | null,
  deadline: number,
  code: string | null = '1234',
): Promise<number> {
  const [row] = await system.rows<{ id: number }>(
    `INSERT INTO ${channel}_change_codes (account_id, code, ${channel}, send_state, send_deadline, created_at, updated_at)
     VALUES ($1, $2, 'recipient', $3, now() + make_interval(secs => $4), now() - interval '1 hour', now() - interval '1 hour') RETURNING id`,
    [id, code, state, deadline],
  );
  return row?.id ?? 0;
}

describe.each(['email', 'phone'] as const)('codes by %s', (channel) => {
  const table = `${channel}_change_codes`;
  const codes = (): typeof models.EmailChangeCode => (channel === 'email' ? models.EmailChangeCode : models.PhoneChangeCode);

  test('of many workers one claims a code', async () => {
    const row = await insertCode(channel, 'due', 60);
    const claims = await Promise.all(Array.from({ length: 10 }, () => codes().claim(row)));
    const [claimed] = claims.filter((claim) => claim !== null);
    expect(claims.filter((claim) => claim !== null)).toHaveLength(1);
    expect(claimed).toMatchObject({ id: row, account_id: id, code: '1234', recipient: 'recipient', language: 'en' });
  });

  test.each([
    ['too late', 'due', -1, '1234'],
    ['void', 'due', 60, null],
    ['claimed', 'sending', 60, '1234'],
  ])('nobody claims one that is %s', async (_, state, deadline, code) => {
    expect(await codes().claim(await insertCode(channel, state, deadline, code))).toBeNull();
  });

  test('a sent code makes those before it void, not those after it or of others', async () => {
    const [before, sent, after] = [
      await insertCode(channel, 'sent', 0),
      await insertCode(channel, 'sending', 60),
      await insertCode(channel, 'due', 60),
    ];
    await codes().recordSent({ id: sent, account_id: id });
    expect(await system.rows(`SELECT id, code, send_state FROM ${table} WHERE account_id = $1 ORDER BY id`, [id])).toEqual([
      { id: before, code: null, send_state: 'sent' },
      { id: sent, code: '1234', send_state: 'sent' },
      { id: after, code: '1234', send_state: 'due' },
    ]);
  });

  test('sends of one account that end at once do not wait for each other in a circle', async () => {
    const { recordDeliveryOutcome } = await import('../../src/services/accounts/change-code-delivery.js');
    for (let round = 0; round < 10; round += 1) {
      const rows: number[] = [];
      while (rows.length < 6) rows.push(await insertCode(channel, 'sending', 60));
      const code = { account_id: id, code: '1234', recipient: 'recipient', language: 'en', send: 0 };
      await Promise.all(rows.map((row) => recordDeliveryOutcome(channel, { ...code, id: row }, { outcome: 'sent' })));
      const newest = await system.rows<{ id: number }>(`SELECT id FROM ${table} WHERE account_id = $1 AND code IS NOT NULL`, [id]);
      expect(newest).toEqual([{ id: rows.at(-1) }]);
    }
  });

  test('one that no worker has taken yet is still sent after a newer one was', async () => {
    const [older, newer] = [await insertCode(channel, 'due', 60), await insertCode(channel, 'sending', 60)];
    await codes().recordSent({ id: newer, account_id: id });
    expect(await codes().claim(older)).toMatchObject({ id: older, code: '1234' });
  });

  test('of rows whose time is over, those never begun go and the others stay as they are', async () => {
    await insertCode(channel, 'due', -61);
    const begun = await insertCode(channel, 'sending', -61);
    const recent = await insertCode(channel, 'due', -30);
    expect(await codes().closeOverdue()).toBe(2);
    expect(
      await system.rows(
        `SELECT id, code, send_state, updated_at < now() - interval '30 minutes' AS untouched FROM ${table} WHERE account_id = $1 ORDER BY id`,
        [id],
      ),
    ).toEqual([
      { id: begun, code: '1234', send_state: 'failed', untouched: true },
      { id: recent, code: '1234', send_state: 'due', untouched: true },
    ]);
    expect(await codes().closeOverdue()).toBe(0);
  });
});

test('a message is taken once, and not after its deadline', async () => {
  const { SipMessage } = models;
  const insert = (seconds: number): Promise<{ id: number }[]> =>
    system.rows(
      "INSERT INTO messages (recipient, body, send_deadline) VALUES ('bob@x', 'hello', now() + make_interval(secs => $1)) RETURNING id",
      [seconds],
    );
  const [inTime] = await insert(60);
  const [late] = await insert(-61);
  const taken = await Promise.all(Array.from({ length: 5 }, () => SipMessage.take(inTime?.id ?? 0)));
  expect(taken.filter((message) => message !== null)).toEqual([{ recipient: 'bob@x', body: 'hello' }]);
  expect(await SipMessage.take(late?.id ?? 0)).toBeNull();
  const { deleteUnsent } = await import('../../src/models/ends-of-life.js');
  expect(await deleteUnsent('messages')).toBe(1);
});

/** What the ledger is told. */
const entry = { domain: null, recipient_mask: 'mask', recipient_hash: 'hash', target: 'app', queued_ms: 1, request_id: null };

test('a device’s tokens count where they were sent, or are being sent in time', async () => {
  const { AccountCreationToken } = models;
  const device = { pn_provider: 'fcm', pn_param: null, pn_prid: `device-${id}` };
  const insert = (state: string | null, deadline: number, { used = false, ageMinutes = 0 } = {}): Promise<unknown> =>
    system.rows(
      `INSERT INTO account_creation_tokens (token, pn_provider, pn_prid, used, send_state, send_deadline, created_at)
       VALUES (md5(random()::text), $1, $2, $3, $4, now() + make_interval(secs => $5), now() - make_interval(mins => $6))`,
      [device.pn_provider, device.pn_prid, used, state, deadline, ageMinutes],
    );
  /** As though it were asked for: what is made is taken away again. */
  const decide = async (perDay: number, given: { pn_param: string | null } = device): Promise<string | undefined> => {
    const send = { ...device, ...given, ip: null, user_agent: null, token: `asked-${id}`, milliseconds: 60_000, entry };
    const [decided] = await AccountCreationToken.beginSends([send], 60, 0, perDay);
    await system.rows('DELETE FROM account_creation_tokens WHERE id = $1', [decided?.made]);
    return decided?.outcome;
  };
  expect(await decide(1)).toBe('send');
  await insert('sending', -1);
  await insert(null, 0);
  expect(await decide(1)).toBe('send');
  await insert('sent', 0, { used: true });
  await insert('sent', 0, { ageMinutes: 90 });
  expect([await decide(2), await decide(3)]).toEqual(['limit_reached', 'send']);
  await insert('sending', 60);
  expect([await decide(3), await decide(0)]).toEqual(['already_sent', 'already_sent']);
  expect(await decide(1, { pn_param: 'other' })).toBe('send');
  await system.rows("UPDATE account_creation_tokens SET send_deadline = now() - interval '61 seconds' WHERE send_state = 'sending'");
  const { deleteUnsent } = await import('../../src/models/ends-of-life.js');
  expect(await deleteUnsent('creation_tokens')).toBe(2);
});

test('devices that are asked for at once are decided on one after another, each in its place', async () => {
  const { AccountCreationToken } = models;
  const ask = (
    n: number,
    pn_prid: string,
    pn_param: string | null = 'app',
  ): Parameters<typeof AccountCreationToken.beginSends>[0][number] => ({
    pn_provider: 'fcm',
    pn_param,
    pn_prid,
    ip: '192.0.2.1',
    user_agent: '🙂'.repeat(300),
    token: `at-once-${id}-${n}`,
    milliseconds: 5000,
    entry,
  });
  const [one, other] = [`one-${id}`, `other-${id}`];
  const asked = [ask(0, one), ask(1, other), ask(2, one), ask(3, one, null), ask(4, one, null)];
  const decided = await AccountCreationToken.beginSends(asked, 60, 0, 3);
  expect(decided.map(({ outcome }) => outcome)).toEqual(['send', 'send', 'already_sent', 'send', 'already_sent']);
  const made = await system.rows(
    `SELECT id, token, pn_prid, pn_param, ip, char_length(user_agent) AS letters, send_state,
            send_deadline BETWEEN clock_timestamp() AND clock_timestamp() + interval '5 seconds' AS in_time
       FROM account_creation_tokens WHERE token LIKE $1 ORDER BY token`,
    [`at-once-${id}-%`],
  );
  const row = { ip: '192.0.2.1', letters: 255, send_state: 'sending', in_time: true };
  expect(made).toEqual([
    { ...row, id: decided[0]?.made, token: `at-once-${id}-0`, pn_prid: one, pn_param: 'app' },
    { ...row, id: decided[1]?.made, token: `at-once-${id}-1`, pn_prid: other, pn_param: 'app' },
    { ...row, id: decided[3]?.made, token: `at-once-${id}-3`, pn_prid: one, pn_param: null },
  ]);

  // Whoever comes while another one decides sees what that one has made.
  const rival = await system.db.connect();
  await rival.query('BEGIN');
  const late = `late-${id}`;
  await rival.query(
    "SELECT * FROM begin_creation_tokens(ARRAY['fcm'], ARRAY['app'], ARRAY[$1], '{}', '{}', ARRAY[$2], '{5000}', 60, 0, 3)",
    [late, `rival-${id}`],
  );
  const waiting = AccountCreationToken.beginSends([ask(5, late), ask(6, `free-${id}`)], 60, 0, 3);
  await eventually(
    () => system.rows("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"),
    (rows) => rows.length > 0,
  );
  await rival.query('COMMIT');
  rival.release();
  expect((await waiting).map(({ outcome }) => outcome)).toEqual(['already_sent', 'send']);
});

test('tokens are marked as sent in time, at once, and past a row that somebody has locked', async () => {
  const { AccountCreationToken } = models;
  const insert = async (state: string, seconds: number): Promise<number> => {
    const [row] = await system.rows<{ id: number }>(
      `INSERT INTO account_creation_tokens (token, send_state, send_deadline, created_at)
       VALUES (md5(random()::text), $1, now() + make_interval(secs => $2), now()) RETURNING id`,
      [state, seconds],
    );
    return row?.id ?? 0;
  };
  const [free, locked, late, failed] = [
    await insert('sending', 60),
    await insert('sending', 60),
    await insert('sending', -1),
    await insert('failed', 60),
  ];
  const holder = await system.db.connect();
  await holder.query('BEGIN');
  await holder.query('SELECT 1 FROM account_creation_tokens WHERE id = $1 FOR UPDATE', [locked]);
  expect(await AccountCreationToken.markSent([locked, late, failed, free])).toEqual([free]);
  await holder.query('ROLLBACK');
  holder.release();
  expect(
    await system.rows('SELECT send_state FROM account_creation_tokens WHERE id = ANY($1) ORDER BY id', [[free, locked, late, failed]]),
  ).toEqual(['sent', 'sending', 'sending', 'failed'].map((send_state) => ({ send_state })));
});

test('what a client calls itself is cut to what its column holds, in characters', async () => {
  const { AccountCreationRequestToken } = models;
  const { user_agent: cut } = await AccountCreationRequestToken.create({ token: `cut-${id}`, user_agent: '🙂'.repeat(300) });
  expect(cut).toBe('🙂'.repeat(255));
});
