// Requests that meet on the same rows, and a database that does not let them through in time: never 500.
import type pg from 'pg';
import { endpoints } from '../src/api';
import { startOutsideWorld, type OutsideWorld } from './helpers/outside';
import { eventually, startSystem, type Answer, type System } from './helpers/system';

let world: OutsideWorld;
let system: System;
beforeAll(async () => {
  world = await startOutsideWorld();
  system = await startSystem({
    webs: 2,
    workers: 2,
    environment: {
      ...world.environment,
      BLOCKING_AMOUNT_EVENTS_AUTHORIZED_DURING_PERIOD: '0',
      APP_DANGEROUS_ENDPOINTS: 'true',
      MAIL_ALLOW_SELF_SIGNED: 'true',
    },
  });
  await system.rows('UPDATE phone_countries SET activated = true');
});
afterAll(async () => {
  await system.stop();
  await world.close();
});

let serial = 0;
/** An account that may ask for codes. */
async function owner(): Promise<{ id: number; key: string; username: string }> {
  const username = `owner.${(serial += 1)}`;
  const account = await system.account(username);
  await system.rows('INSERT INTO account_creation_tokens (token, used, account_id, created_at) VALUES ($1, true, $2, now())', [
    `used-${serial}`,
    account.id,
  ]);
  return { ...account, username };
}
const number = (): string => `+336${String(10_000_000 + (serial += 1))}`;

/** A session beside the program's, in a transaction; one that waits for a lock is not the one that PostgreSQL ends. */
async function beside<T>(work: (session: pg.PoolClient) => Promise<T>): Promise<T> {
  const session = await system.db.connect();
  try {
    await session.query("BEGIN; SET LOCAL deadlock_timeout = '1min'");
    return await work(session);
  } finally {
    await session.query('ROLLBACK');
    session.release();
  }
}
/** Resolves once so many sessions of this database wait for a lock. */
const waiting = (count = 1): Promise<unknown> =>
  eventually(
    () =>
      system.rows<{ n: number }>(
        "SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name = 'flexisip-account-api'",
      ),
    ([row]) => (row?.n ?? 0) >= count,
  );

describe('one order of locks', () => {
  test.each(['phone', 'email'] as const)(
    'four requests for a code and twelve confirmations at once, again and again: %s',
    async (channel) => {
      for (let round = 0; round < 8; round += 1) {
        const { id, key } = await owner();
        const recipients = Array.from({ length: 4 }, () => (channel === 'phone' ? number() : `a${(serial += 1)}@example.org`));
        const first = await system.api(`/accounts/me/${channel}/request`, { method: 'POST', key, body: { [channel]: recipients[0] } });
        expect(first.status).toBe(200);
        const [row] = await system.rows<{ code: string }>(
          `SELECT code FROM ${channel}_change_codes WHERE account_id = $1 ORDER BY id DESC`,
          [id],
        );
        const answers = await Promise.all([
          ...recipients.map((recipient) =>
            system.api(`/accounts/me/${channel}/request`, { method: 'POST', key, body: { [channel]: recipient } }),
          ),
          ...Array.from({ length: 12 }, (_, n) =>
            system.api(`/accounts/me/${channel}`, { method: 'POST', key, body: { code: n % 3 === 0 ? row?.code : '0000' } }),
          ),
        ]);
        expect(answers.filter(({ status }) => status >= 500).map(({ status, text }) => [status, text])).toEqual([]);
      }
    },
  );

  test('a confirmation leaves a code that no worker has taken yet: its request still waits', async () => {
    const { id, key } = await owner();
    const insert = (code: string, state: string): Promise<unknown> =>
      system.rows(
        `INSERT INTO email_change_codes (account_id, code, email, send_state, send_deadline, created_at)
         VALUES ($1, $2, 'new@example.org', $3, now() + interval '1 minute', now())`,
        [id, code, state],
      );
    await insert('1234', 'sent');
    await insert('9876', 'due');
    expect((await system.api('/accounts/me/email', { method: 'POST', key, body: { code: '1234' } })).status).toBe(200);
    expect(await system.rows('SELECT code FROM email_change_codes WHERE account_id = $1 ORDER BY id', [id])).toEqual([
      { code: null },
      { code: '9876' },
    ]);
  });

  // The account's row stands before what hangs on it: who waits for it holds none of those.
  const cases: [string, (account: Awaited<ReturnType<typeof owner>>) => Promise<{ held: string; call: () => Promise<Answer> }>][] = [
    [
      'a provisioning token',
      async ({ id }) => {
        const token = `provision${(serial += 1)}`;
        await system.rows('INSERT INTO provisioning_tokens (account_id, token, created_at) VALUES ($1, $2, now())', [id, token]);
        return {
          held: 'provisioning_tokens',
          call: () => requestPage(`/provisioning/${token}`),
        };
      },
    ],
    [
      'an auth token',
      async ({ id }) => {
        const token = `auth${(serial += 1)}`.padEnd(32, 'x');
        await system.rows('INSERT INTO auth_tokens (account_id, token, created_at) VALUES ($1, $2, now())', [id, token]);
        return { held: 'auth_tokens', call: () => system.api(`/accounts/me/api_key/${token}`) };
      },
    ],
    [
      'a code',
      async ({ id, key }) => {
        await system.rows(
          "INSERT INTO email_change_codes (account_id, code, email, created_at) VALUES ($1, '1234', 'new@example.org', now())",
          [id],
        );
        return {
          held: 'email_change_codes',
          call: () => system.api('/accounts/me/email', { method: 'POST', key, body: { code: '1234' } }),
        };
      },
    ],
    [
      'a recovery',
      async ({ id }) => {
        const phone = number();
        const token = `recover${(serial += 1)}`.padEnd(13, 'x');
        await system.rows('UPDATE accounts SET phone = $2 WHERE id = $1', [id, phone]);
        await system.rows('INSERT INTO account_creation_tokens (token, created_at) VALUES ($1, now())', [token]);
        return {
          held: 'account_creation_tokens',
          call: () => system.api('/accounts/recover-by-phone', { method: 'POST', body: { phone, account_creation_token: token } }),
        };
      },
    ],
  ];
  const requestPage = async (path: string): Promise<Answer> => {
    const response = await fetch(`${system.url}${path}`, { headers: { 'x-linphone-provisioning': 'true' } });
    return { status: response.status, headers: response.headers, text: await response.text(), json: {} };
  };

  test.each(cases)('%s', async (_what, prepare) => {
    const account = await owner();
    const { held, call } = await prepare(account);
    const answer = await beside(async (session) => {
      await session.query('SELECT 1 FROM accounts WHERE id = $1 FOR UPDATE', [account.id]);
      const asked = call();
      await waiting();
      // Nobody holds them: else this would wait for whoever waits for us.
      await session.query("SET LOCAL lock_timeout = '200ms'");
      await session.query(`SELECT 1 FROM ${held} FOR UPDATE`);
      await session.query('COMMIT');
      return asked;
    });
    expect(answer.status).toBeLessThan(400);
  });
});

describe('a deadlock', () => {
  /** Somebody else locks what a confirmation wants in the other order, so that PostgreSQL ends the confirmation. */
  async function lose(): Promise<Answer> {
    const { id, key } = await owner();
    await system.rows(
      "INSERT INTO email_change_codes (account_id, code, email, created_at) VALUES ($1, '1234', 'new@example.org', now())",
      [id],
    );
    return beside(async (session) => {
      await session.query('SELECT 1 FROM email_change_codes WHERE account_id = $1 FOR UPDATE', [id]);
      const asked = system.api('/accounts/me/email', { method: 'POST', key, body: { code: '1234' } });
      await waiting();
      await session.query('SELECT 1 FROM accounts WHERE id = $1 FOR UPDATE', [id]);
      await session.query('COMMIT');
      return asked;
    });
  }

  test('that was lost is tried once more, and the answer is as if it had not been', async () => {
    for (let round = 0; round < 5; round += 1) {
      const answer = await lose();
      expect([answer.status, answer.json['email']]).toEqual([200, 'new@example.org']);
    }
  });
});

describe('PostgreSQL’s own time limits', () => {
  test.each([
    ['statement_timeout', '57014'],
    ['lock_timeout', '55P03'],
  ])('%s: 503 with retry-after', async (limit) => {
    const slow = await startSystem({ workers: 0 });
    const { id, key } = await slow.account('hurried');
    const [{ name } = { name: '' }] = await slow.rows<{ name: string }>('SELECT current_database() AS name');
    await slow.rows(`ALTER DATABASE ${name} SET ${limit} = '300ms'`);
    await slow.startWeb();
    const session = await slow.db.connect();
    await session.query('BEGIN');
    await session.query('SELECT 1 FROM accounts WHERE id = $1 FOR UPDATE', [id]);
    const url = slow.urls.at(-1) ?? '';
    const refused = await fetch(`${url}/api/accounts/me/password`, {
      method: 'POST',
      headers: { 'x-api-key': key, 'content-type': 'application/json' },
      body: JSON.stringify({ algorithm: 'SHA-256', password: 'new-password' }),
    });
    await session.query('ROLLBACK');
    session.release();
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5']);
    expect(slow.webs.at(-1)?.output()).not.toContain('a request failed');
    await slow.stop();
  });
});

describe('an account that is deleted between its authentication and what it writes', () => {
  /** Bodies with which an endpoint gets as far as writing. */
  const BODIES: Record<string, unknown> = {
    'post /accounts/me/password': { algorithm: 'SHA-256', password: 'new-password' },
    'post /accounts/me/email/request': { email: 'gone@example.org' },
    'post /accounts/me/phone/request': { phone: '+33612000000' },
    'post /accounts/me/email': { code: '1234' },
    'post /accounts/me/phone': { code: '1234' },
    'post /accounts/me/vcards-storage': {
      vcard: 'BEGIN:VCARD\r\nVERSION:4.0\r\nFN:A\r\nUID:urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6\r\nEND:VCARD\r\n',
    },
    'put /accounts/me/vcards-storage/:uuid': {
      vcard: 'BEGIN:VCARD\r\nVERSION:4.0\r\nFN:A\r\nUID:urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf7\r\nEND:VCARD\r\n',
    },
    'post /account_creation_tokens/consume': { account_creation_token: 'TOKEN' },
    'put /accounts/:id': { username: 'changed.name', password: 'password', algorithm: 'MD5' },
    'post /accounts/:id/dictionary/:key': { value: 'v' },
    'post /accounts/:id/dictionary': { dictionary: { a: 'b' } },
    'post /accounts/:id/actions': { key: 'key', code: '12' },
    'put /accounts/:id/actions/:action_id': { key: 'key', code: '12' },
  };
  const changes = endpoints.filter(
    ({ method, path, access }) =>
      access !== 'public' &&
      access !== 'super_admin' &&
      // Devices are the registrar's, in its own Redis.
      !path.includes('/devices/') &&
      /^\/(accounts\/(me|:id)|account_creation_tokens|accounts\/auth_token|contacts_lists\/:contacts_list_id\/contacts)/.test(path) &&
      (method !== 'get' || /provision$|attach$|api_key$|\/(activate|block|deactivate|unblock)$/.test(path)),
  );

  test.each(changes.map((endpoint) => [`${endpoint.method} ${endpoint.path}`, endpoint] as const))('%s', async (name, { method, path }) => {
    const admin = await system.account(`admin.${(serial += 1)}`, { admin: true });
    const account = await owner();
    const other = await owner();
    const { id } = account;
    await system.rows("UPDATE accounts SET dtmf_protocol = 'sipinfo' WHERE id = $1", [id]);
    for (const channel of ['email', 'phone'])
      await system.rows(`INSERT INTO ${channel}_change_codes (account_id, code, ${channel}, created_at) VALUES ($1, '1234', $2, now())`, [
        id,
        channel === 'email' ? 'gone@example.org' : number(),
      ]);
    const uuid = 'urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf7';
    await system.rows('INSERT INTO vcards_storage (account_id, uuid, vcard, created_at) VALUES ($1, $2, $3, now())', [id, uuid, 'x']);
    const token = `consume${(serial += 1)}`.padEnd(13, 'x');
    await system.rows('INSERT INTO account_creation_tokens (token, created_at) VALUES ($1, now())', [token]);
    const auth = `attach${serial}`.padEnd(32, 'x');
    await system.rows('INSERT INTO auth_tokens (token, created_at) VALUES ($1, now())', [auth]);
    const [action] = await system.rows<{ id: number }>(
      "INSERT INTO account_actions (account_id, key, code) VALUES ($1, 'k', '1') RETURNING id",
      [id],
    );
    const [type] = await system.rows<{ id: number }>('INSERT INTO account_types (key) VALUES ($1) RETURNING id', [`type.${serial}`]);
    const [list] = await system.rows<{ id: number }>(
      'INSERT INTO contacts_lists (title, space_id) SELECT $1, id FROM spaces LIMIT 1 RETURNING id',
      [`list ${serial}`],
    );
    const values: Record<string, unknown> = {
      ':id': id,
      ':contact_id': /contacts_lists/.test(path) ? id : other.id,
      ':action_id': action?.id,
      ':type_id': type?.id,
      ':contacts_list_id': list?.id,
      ':auth_token': auth,
      ':uuid': uuid,
      ':key': 'key',
    };
    const route = path.replace(/:\w+/g, (parameter) => String(values[parameter]));
    const given = BODIES[name];
    const body = given === undefined ? undefined : (JSON.parse(JSON.stringify(given).replace('TOKEN', token)) as unknown);
    const own = !/:id|contacts_lists/.test(path);
    const answer = await beside(async (session) => {
      await session.query('DELETE FROM accounts WHERE id = $1', [id]);
      let answered = false;
      const asked = system
        .api(route, { method: method.toUpperCase(), key: own ? account.key : admin.key, ...(body === undefined ? {} : { body }) })
        .finally(() => (answered = true));
      // It waits for the deletion, or was answered without asking the row.
      await eventually(
        async () =>
          answered ||
          (await system.rows("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")).length > 0,
        (come) => come,
      );
      await session.query('COMMIT');
      return asked;
    });
    expect([200, 401, 403, 404, 422]).toContain(answer.status);
  });
});
