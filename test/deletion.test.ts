// The end of accounts and Spaces that have much: gone at once, the rest in pieces, whoever is killed meanwhile and whatever is made anew.
import { randomUUID } from 'node:crypto';
import { isDatabaseUnavailable } from '../src/infra/database';
import { eventually, SPACE, startSystem, type Account, type System } from './helpers/system';

const MESSAGES = 12_000;
const CONTACTS = 6_000;
/** A piece is bounded in each kind of rows; what one transaction deletes in all stays below. */
const MOST_IN_A_TRANSACTION = 10_000;

type Leftovers = typeof import('../src/services/accounts/leftovers');
interface Jobs extends Pick<Leftovers, 'removeLeftovers'> {
  aggregate: typeof import('../src/services/statistics/rollups').aggregate;
  close: () => Promise<void>;
}

let system: System;
let admin: Account;

/** What a worker does, with connections of its own. */
async function loadJobs(): Promise<Jobs> {
  Object.assign(process.env, system.environment, { LOG_LEVEL: 'fatal' });
  jest.resetModules();
  const { removeLeftovers } = await import('../src/services/accounts/leftovers.js');
  const { aggregate } = await import('../src/services/statistics/rollups.js');
  const { closeDatabase, inLongTransaction } = await import('../src/infra/database.js');
  await inLongTransaction(() => Promise.resolve());
  return { removeLeftovers, aggregate, close: closeDatabase };
}

/** Messages of an account, with two devices each, one of them in another domain. */
async function messages(username: string, domain: string, count: number, prefix: string = randomUUID()): Promise<void> {
  const events = `FROM generate_series(1, ${count}) n`;
  const sent = `now() - interval '2 days' + n * interval '10 seconds' - interval '5 minutes'`;
  await system.rows(
    `INSERT INTO statistics_message_keys (id, from_domain, sent_at) SELECT '${prefix}' || n, '${domain}', date_trunc('second', ${sent}) + interval '1 microsecond' ${events}`,
  );
  await system.rows(
    `INSERT INTO statistics_messages (id, from_username, from_domain, sent_at, created_at)
     SELECT id, '${username}', '${domain}', sent_at, now() - interval '1 hour' FROM statistics_message_keys WHERE starts_with(id, '${prefix}')`,
  );
  for (const to of [domain, 'recipients.org'])
    await system.rows(
      `INSERT INTO statistics_message_devices (message_id, to_username, to_domain, device_id, last_status, received_at, sent_at)
       SELECT id, 'x', '${to}', 'd', 200, sent_at, sent_at FROM statistics_message_keys WHERE starts_with(id, '${prefix}')`,
    );
  await system.rows(
    `INSERT INTO statistics_dirty_buckets (kind, hour, domain) SELECT DISTINCT 'messages', date_trunc('hour', sent_at, 'UTC'), d.domain
       FROM statistics_message_keys, (VALUES ('${domain}'), ('recipients.org')) d (domain) WHERE starts_with(id, '${prefix}')`,
  );
}

const figures = (): Promise<{ domain: string; direction: string; messages: number }[]> =>
  system.rows(
    'SELECT domain, direction, sum(messages)::int AS messages FROM statistics_message_rollups GROUP BY 1, 2 ORDER BY domain, direction',
  );
const count = async (of: string): Promise<number> => (await system.rows<{ n: number }>(`SELECT count(*)::int AS n FROM ${of}`))[0]?.n ?? 0;

/** Counts what each transaction deletes, by triggers: a piece that grew would show here. */
async function watchDeletions(): Promise<void> {
  await system.rows('CREATE TABLE deleted_log (transaction bigint, deleted bigint)');
  await system.rows(`CREATE FUNCTION log_deleted() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO deleted_log SELECT txid_current(), count(*) FROM gone; RETURN NULL; END $$`);
  for (const table of ['statistics_message_keys', 'statistics_messages', 'statistics_message_devices', 'contacts', 'vcards_storage'])
    await system.rows(
      `CREATE TRIGGER log_deleted AFTER DELETE ON ${table} REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION log_deleted()`,
    );
}
const mostDeleted = async (): Promise<number> =>
  (await system.rows<{ n: number }>('SELECT max(n)::int AS n FROM (SELECT sum(deleted) AS n FROM deleted_log GROUP BY transaction) t'))[0]
    ?.n ?? 0;

beforeAll(async () => {
  system = await startSystem({ workers: 0 });
  admin = await system.account('admin', { admin: true });
  await watchDeletions();
});
// Sequelize warns of each transaction whose connection was killed.
beforeEach(() => void jest.spyOn(console, 'warn').mockImplementation());
afterAll(() => system.stop());

test('an account is deleted in the same time whatever hangs on it, for every reader at once; the rest goes in pieces, through kills', async () => {
  const { id, key } = await system.account('big');
  const other = await system.account('friend');
  await messages('big', SPACE, MESSAGES);
  await messages('friend', SPACE, 50);
  await system.rows(
    `INSERT INTO accounts (username, domain, ip_address, user_agent, created_at) SELECT 'c' || n, '${SPACE}', '::1', 'test', now() FROM generate_series(1, ${CONTACTS}) n`,
  );
  const others = `FROM accounts WHERE domain = '${SPACE}' AND starts_with(username, 'c')`;
  await system.rows(`INSERT INTO contacts (account_id, contact_id) SELECT ${id}, id ${others} UNION ALL SELECT id, ${id} ${others}`);
  await system.rows('INSERT INTO contacts (account_id, contact_id) VALUES ($1, $2)', [other.id, id]);
  await system.rows(`INSERT INTO vcards_storage (account_id, uuid, vcard) SELECT ${id}, n::text, 'x' FROM generate_series(1, 3000) n`);
  await system.rows(`INSERT INTO account_dictionary_entries (account_id, key, value) SELECT ${id}, n, n FROM generate_series(1, 100) n`);
  await system.rows(`INSERT INTO account_actions (account_id, key, code) VALUES (${id}, 'a', '1')`);
  await system.rows(`INSERT INTO nonces (account_id, nonce) VALUES (${id}, 'n')`);
  const first = await loadJobs();
  await first.aggregate();
  expect(await figures()).toContainEqual({ domain: 'recipients.org', direction: 'to', messages: MESSAGES + 50 });

  const started = Date.now();
  expect(await system.api('/accounts/me', { method: 'DELETE', key })).toMatchObject({ status: 200, text: '{}' });
  expect(Date.now() - started).toBeLessThan(1000);
  // None of it was touched: the time is the same for any number.
  expect(await count('deleted_log')).toBe(0);
  expect(await count("statistics_messages WHERE from_username = 'big'")).toBe(MESSAGES);

  for (const path of [`/accounts/${id}`, `/accounts/${id}/contacts`, `/accounts/${id}/dictionary`, `/accounts/${id}/vcards-storage`])
    expect([path, (await system.api(path, { key: admin.key })).status]).toEqual([path, 404]);
  expect((await system.api('/accounts/me', { key })).status).toBe(401);
  expect((await system.api(`/accounts/${other.id}/contacts`, { key: admin.key })).text).toBe('[]');
  expect((await system.api('/accounts/me/contacts', { key: other.key })).text).toBe('[]');
  expect(await count(`passwords WHERE account_id = ${id}`)).toBe(0);

  // The name is given again before the rest is gone: what the new account sends is its own.
  await system.rows("DELETE FROM accounts_tombstones WHERE username = 'big'");
  const again = await system.account('big');
  const sent = { id: randomUUID(), from: `big@${SPACE}`, sent_at: new Date().toISOString(), encrypted: false };
  expect((await system.api('/statistics/messages', { method: 'POST', key: admin.key, body: sent })).status).toBe(200);
  await system.rows('INSERT INTO contacts (account_id, contact_id) VALUES ($1, $2)', [again.id, other.id]);

  // Two workers, of which one is killed wherever it is, again and again.
  const second = await loadJobs();
  let working = true;
  const killer = (async () => {
    while (working) {
      await system.rows(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
            AND query ~ 'statistics_message_(keys|devices)|pending_deletions|DELETE FROM contacts' AND pid <> pg_backend_pid() LIMIT 1`,
      );
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
  })();
  const passKill = (error: unknown): void => {
    if (!isDatabaseUnavailable(error)) throw error;
  };
  for (let round = 0; round < 8; round += 1)
    await Promise.all([first, second].map(({ removeLeftovers }) => removeLeftovers().then(() => undefined, passKill)));
  working = false;
  await killer;
  await Promise.all([first.removeLeftovers(), second.removeLeftovers()]);
  await first.removeLeftovers();

  expect(await count('pending_deletions')).toBe(0);
  expect(await system.rows("SELECT id FROM statistics_messages WHERE from_username = 'big'")).toEqual([{ id: sent.id }]);
  expect(await count('statistics_message_devices d WHERE NOT EXISTS (SELECT 1 FROM statistics_messages m WHERE m.id = d.message_id)')).toBe(
    0,
  );
  expect(await count('statistics_message_keys')).toBe(51);
  for (const table of ['vcards_storage', 'account_dictionary_entries', 'account_actions', 'nonces', 'contacts'])
    expect([table, await count(`${table} WHERE account_id = ${id}`)]).toEqual([table, 0]);
  expect(await system.rows('SELECT account_id, contact_id FROM contacts')).toEqual([{ account_id: again.id, contact_id: other.id }]);
  expect(await mostDeleted()).toBeLessThan(MOST_IN_A_TRANSACTION);

  // The recipients' hours are counted again, too.
  await first.aggregate();
  expect(await figures()).toEqual([
    { domain: '', direction: 'from', messages: 51 },
    { domain: 'recipients.org', direction: 'to', messages: 50 },
    { domain: SPACE, direction: 'from', messages: 51 },
    { domain: SPACE, direction: 'to', messages: 50 },
  ]);
  await Promise.all([first.close(), second.close()]);
});

test('nothing is made for an account that is gone, as by a foreign key', async () => {
  const { id } = await system.account('owner');
  for (const insert of [
    'contacts (account_id, contact_id) VALUES (999999, $1)',
    'contacts (contact_id, account_id) VALUES (999999, $1)',
    "vcards_storage (account_id, uuid, vcard) VALUES ($1 + 999999, 'u', 'v')",
    "account_dictionary_entries (account_id, key, value) VALUES ($1 + 999999, 'k', 'v')",
    "account_actions (account_id, key, code) VALUES ($1 + 999999, 'k', 'v')",
    "nonces (account_id, nonce) VALUES ($1 + 999999, 'gone')",
  ])
    await expect(system.rows(`INSERT INTO ${insert}`, [id])).rejects.toMatchObject({ code: '23503' });
  // One that is being deleted is waited for.
  const client = await system.db.connect();
  await client.query('BEGIN');
  await client.query('DELETE FROM accounts WHERE id = $1', [id]);
  const insert = system.rows("INSERT INTO nonces (account_id, nonce) VALUES ($1, 'late')", [id]).then(
    () => 'made',
    (error: { code: string }) => error.code,
  );
  await eventually(
    () => system.rows("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'late'"),
    (waiting) => waiting.length > 0,
  );
  await client.query('COMMIT');
  client.release();
  expect(await insert).toBe('23503');
});

test('one deletion that fails holds up no other', async () => {
  const jobs = await loadJobs();
  await jobs.removeLeftovers();
  const made: Account[] = [];
  for (const name of ['one', 'bad', 'two']) made.push(await system.account(`left-${name}`));
  for (const { id } of made) await system.rows(`INSERT INTO nonces (account_id, nonce) VALUES (${id}, 'left${id}')`);
  const bad = made[1]?.id ?? 0;
  await system.rows(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'this row stays'; END $$`);
  await system.rows(`CREATE TRIGGER refuse BEFORE DELETE ON nonces FOR EACH ROW WHEN (OLD.account_id = ${bad}) EXECUTE FUNCTION refuse()`);
  await system.rows('DELETE FROM accounts WHERE id = ANY ($1)', [made.map(({ id }) => id)]);
  expect(await jobs.removeLeftovers()).toMatchObject({ deletions: 2, failed: 1 });
  expect(await system.rows('SELECT account_id FROM nonces')).toEqual([{ account_id: bad }]);
  await system.rows('DROP TRIGGER refuse ON nonces');
  expect(await jobs.removeLeftovers()).toMatchObject({ deletions: 1, failed: 0 });
  expect((await count('nonces')) + (await count('pending_deletions'))).toBe(0);
  await jobs.close();
});

test('a deleted Space takes its figures along; one that is made of that name begins at nothing, and the figures of others are right', async () => {
  const jobs = await loadJobs();
  await system.rows('DELETE FROM statistics_messages; DELETE FROM statistics_message_devices; DELETE FROM statistics_message_keys');
  await system.rows('DELETE FROM statistics_message_rollups; DELETE FROM statistics_dirty_buckets');
  await system.space('doomed.org');
  await system.account('sender', { domain: 'doomed.org' });
  await messages('sender', 'doomed.org', 300);
  // What others sent to it stays theirs; it is the last hours' that would be counted again for the new Space.
  await messages('friend', SPACE, 40, 'to-doomed');
  await system.rows(
    "UPDATE statistics_message_devices SET to_domain = 'doomed.org' WHERE starts_with(message_id, 'to-doomed') AND to_domain = $1",
    [SPACE],
  );
  await system.rows("UPDATE statistics_dirty_buckets SET domain = 'doomed.org' WHERE domain = $1 AND id % 2 = 0", [SPACE]);
  await system.rows(
    `INSERT INTO statistics_dirty_buckets (kind, hour, domain) SELECT DISTINCT 'messages', date_trunc('hour', sent_at, 'UTC'), d FROM statistics_message_keys, unnest(ARRAY['${SPACE}', 'doomed.org']) d`,
  );
  // Figures of a month whose raw events were dropped.
  await system.rows(
    `INSERT INTO statistics_message_rollups (domain, direction, hour, messages, encrypted, devices, delivered, delays)
     SELECT d, 'from', '2020-01-01T10:00:00Z', n, 0, 0, 0, '{}' FROM (VALUES ('doomed.org', 7), ('${SPACE}', 5), ('', 12)) v (d, n)`,
  );
  await system.rows("INSERT INTO statistics_retention (id, raw_since) VALUES (1, '2021-01-01T00:00:00Z')");
  await jobs.aggregate();
  expect(await figures()).toEqual([
    { domain: '', direction: 'from', messages: 352 },
    { domain: 'doomed.org', direction: 'from', messages: 307 },
    { domain: 'doomed.org', direction: 'to', messages: 340 },
    { domain: 'recipients.org', direction: 'to', messages: 340 },
    { domain: SPACE, direction: 'from', messages: 45 },
  ]);

  expect((await system.api('/spaces/doomed.org', { method: 'DELETE', key: admin.key })).status).toBe(200);
  expect(await count("statistics_message_rollups WHERE domain = 'doomed.org'")).toBe(0);
  await system.space('doomed.org');
  const { key } = await system.account('sender', { domain: 'doomed.org', admin: true });
  const sums = async (): Promise<unknown> => {
    const { text } = await system.api('/statistics/messages?from=2019-12-01T00:00:00Z&to=2020-02-01T00:00:00Z&by=month', { key });
    return text;
  };
  expect(await sums()).not.toMatch(/"messages":[1-9]/);
  // An hour of it that is counted again before the raw events are gone.
  await system.rows(
    `INSERT INTO statistics_dirty_buckets (kind, hour, domain) SELECT DISTINCT 'messages', date_trunc('hour', sent_at, 'UTC'), 'doomed.org' FROM statistics_messages`,
  );
  const sent = { id: randomUUID(), from: 'sender@doomed.org', sent_at: new Date().toISOString(), encrypted: false };
  expect((await system.api('/statistics/messages', { method: 'POST', key: admin.key, body: sent })).status).toBe(200);
  await jobs.aggregate();
  expect(await figures()).toEqual([
    { domain: '', direction: 'from', messages: 46 },
    { domain: 'doomed.org', direction: 'from', messages: 1 },
    { domain: 'recipients.org', direction: 'to', messages: 340 },
    { domain: SPACE, direction: 'from', messages: 45 },
  ]);
  // A worker of the release before counts them for it meanwhile.
  await system.rows(
    `INSERT INTO statistics_message_rollups (domain, direction, hour, messages, encrypted, devices, delivered, delays)
     VALUES ('doomed.org', 'to', date_trunc('hour', now() - interval '30 hours'), 9, 0, 0, 0, '{}')`,
  );
  await jobs.removeLeftovers();
  await jobs.aggregate();
  expect(await count('pending_deletions')).toBe(0);
  expect(await figures()).toEqual([
    { domain: '', direction: 'from', messages: 46 },
    { domain: 'doomed.org', direction: 'from', messages: 1 },
    { domain: 'recipients.org', direction: 'to', messages: 40 },
    { domain: SPACE, direction: 'from', messages: 45 },
  ]);
  expect(await count("statistics_messages WHERE from_domain = 'doomed.org'")).toBe(1);
  expect(await count('statistics_messages')).toBe(41);
  await jobs.close();
});
