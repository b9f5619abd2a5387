// An account that moves to another Space: what it leaves behind, what it takes along, and what happens at the same moment.
import { hashPassword } from '../src/services/credentials/secrets';
import { eventually, startSystem, type Account, type Answer, type System } from './helpers/system';

const OLD = 'old.example.org';
const NEW = 'new.example.org';

let system: System;
let superAdmin: Account;
let oldAdmin: Account;
let newAdmin: Account;
beforeAll(async () => {
  system = await startSystem({ webs: 2, workers: 0 });
  await system.space(OLD);
  await system.space(NEW);
  superAdmin = await system.account('super-admin', { admin: true });
  oldAdmin = await system.account('old-admin', { domain: OLD, admin: true });
  newAdmin = await system.account('new-admin', { domain: NEW, admin: true });
});
afterAll(() => system.stop());

let serial = 0;
async function person(domain: string): Promise<Account & { username: string }> {
  const username = `person-${(serial += 1)}`;
  return { username, ...(await system.account(username, { domain })) };
}
const link = (path: string, key = superAdmin.key): Promise<Answer> => system.api(path, { method: 'POST', key });
async function list(domain: string): Promise<number> {
  const [row] = await system.rows<{ id: number }>(
    'INSERT INTO contacts_lists (title, description, space_id) SELECT $1, NULL, id FROM spaces WHERE domain = $2 RETURNING id',
    [`list-${(serial += 1)}`, domain],
  );
  return row?.id ?? 0;
}
const move = ({ id, username }: { id: number; username: string }, domain = NEW): Promise<Answer> =>
  system.api(`/accounts/${id}`, {
    method: 'PUT',
    key: superAdmin.key,
    body: { username, domain, password: 'password', algorithm: 'SHA-256' },
  });
/** Contacts, lists that an account was given, and lists that it is on, as pairs of ids. */
const links = async (): Promise<string[]> =>
  (
    await system.rows<{ link: string }>(
      `SELECT 'contact ' || account_id || ' ' || contact_id AS link FROM contacts
       UNION SELECT 'given ' || account_id || ' ' || contacts_list_id FROM account_contacts_list
       UNION SELECT 'on ' || contact_id || ' ' || contacts_list_id FROM contacts_list_contact ORDER BY 1`,
    )
  ).map(({ link: text }) => text);
const idsOf = ({ text }: Answer): number[] => (JSON.parse(text) as { id: number }[]).map(({ id }) => id);

test('what links it with the old Space goes, both ways; what links it with the new one, and others with each other, stays', async () => {
  const [moved, colleague, other, newcomer] = [await person(OLD), await person(OLD), await person(OLD), await person(NEW)];
  const [oldList, newList] = [await list(OLD), await list(NEW)];
  for (const path of [
    `/accounts/${moved.id}/contacts/${colleague.id}`,
    `/accounts/${colleague.id}/contacts/${moved.id}`,
    `/accounts/${moved.id}/contacts/${moved.id}`,
    `/accounts/${colleague.id}/contacts/${other.id}`,
    `/accounts/${moved.id}/contacts/${newcomer.id}`,
    `/accounts/${newcomer.id}/contacts/${moved.id}`,
    `/accounts/${moved.id}/contacts_lists/${oldList}`,
    `/accounts/${moved.id}/contacts_lists/${newList}`,
    `/accounts/${other.id}/contacts_lists/${oldList}`,
    `/contacts_lists/${oldList}/contacts/${moved.id}`,
    `/contacts_lists/${newList}/contacts/${moved.id}`,
    `/contacts_lists/${oldList}/contacts/${other.id}`,
  ])
    expect([path, (await link(path)).status]).toEqual([path, 200]);
  const before = await links();

  // Changed, not moved: nothing goes.
  expect((await move(moved, OLD)).status).toBe(200);
  expect(await links()).toEqual(before);
  expect((await move(moved)).json['domain']).toBe(NEW);
  expect(await links()).toEqual(
    [
      `contact ${moved.id} ${moved.id}`,
      `contact ${colleague.id} ${other.id}`,
      `contact ${moved.id} ${newcomer.id}`,
      `contact ${newcomer.id} ${moved.id}`,
      `given ${moved.id} ${newList}`,
      `given ${other.id} ${oldList}`,
      `on ${moved.id} ${newList}`,
      `on ${other.id} ${oldList}`,
    ].toSorted(),
  );
  expect(idsOf(await system.api(`/accounts/${moved.id}/contacts`, { key: newAdmin.key }))).toEqual([moved.id, newcomer.id]);
  expect(idsOf(await system.api('/accounts/me/contacts', { key: moved.key }))).toEqual([moved.id, newcomer.id]);
  expect(idsOf(await system.api('/accounts/me/contacts', { key: colleague.key }))).toEqual([other.id]);
  expect(idsOf(await system.api('/accounts/me/contacts', { key: other.key }))).toEqual([other.id]);
});

test('keys of machines, which admins of the old Space may have made, open nothing in the new one', async () => {
  const moved = await person(OLD);
  const { json } = await system.api('/api_keys', {
    method: 'POST',
    key: oldAdmin.key,
    body: { name: 'left behind', scopes: ['*'], account_id: moved.id },
  });
  const status = async (): Promise<number> => (await system.api('/accounts/me', { key: json['api_key'] as string })).status;
  expect(await status()).toBe(200);
  expect((await move(moved, OLD)).status).toBe(200);
  expect(await status()).toBe(200);
  expect((await move(moved)).status).toBe(200);
  expect(await status()).toBe(401);
  expect(await system.rows('SELECT 1 FROM named_api_keys WHERE account_id = $1', [moved.id])).toEqual([]);
});

test('what is its own goes along; its key acts in the new Space, with the role that it was given there', async () => {
  const moved = await person(OLD);
  await system.rows("INSERT INTO account_dictionary_entries (account_id, key, value) VALUES ($1, 'k', 'v')", [moved.id]);
  await system.rows("INSERT INTO account_actions (account_id, key, code) VALUES ($1, 'door', '1')", [moved.id]);
  await system.rows("INSERT INTO vcards_storage (account_id, uuid, vcard) VALUES ($1, 'u', 'BEGIN:VCARD')", [moved.id]);
  await system.rows(
    "WITH t AS (INSERT INTO account_types (key) VALUES ('desk') RETURNING id) INSERT INTO account_account_type SELECT $1, id FROM t",
    [moved.id],
  );
  await system.rows('UPDATE accounts SET admin = true WHERE id = $1', [moved.id]);
  expect((await move(moved)).status).toBe(200);
  expect((await system.api('/accounts/me', { key: moved.key })).json).toMatchObject({
    domain: NEW,
    admin: false,
    dictionary: { k: 'v' },
    types: [{ key: 'desk' }],
  });
  expect((await system.api('/accounts/me/vcards-storage', { key: moved.key })).json).toHaveProperty('u');
  expect(await system.rows('SELECT key FROM account_actions WHERE account_id = $1', [moved.id])).toEqual([{ key: 'door' }]);
  expect(await system.rows('SELECT password FROM passwords WHERE account_id = $1', [moved.id])).toEqual([
    { password: hashPassword('SHA-256', moved.username, NEW, 'password') },
  ]);
});

test('several that know one another move at once: all arrive, and nobody knows anybody in the other Space', async () => {
  const people = await Promise.all(Array.from({ length: 6 }, () => person(OLD)));
  const ids = people.map(({ id }) => id);
  await system.rows(
    'INSERT INTO contacts (account_id, contact_id) SELECT a, c FROM unnest($1::integer[]) AS a, unnest($1::integer[]) AS c WHERE a <> c',
    [ids],
  );
  const answers = await Promise.all(people.slice(1).map((each) => move(each)));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
  expect(
    await system.rows(
      `SELECT 1 FROM contacts c JOIN accounts a ON a.id = c.account_id JOIN accounts b ON b.id = c.contact_id
        WHERE a.domain <> b.domain AND c.account_id = ANY ($1)`,
      [ids],
    ),
  ).toEqual([]);
});

test('an admin who links it at the moment of its move links nothing', async () => {
  const [moved, colleague] = [await person(OLD), await person(OLD)];
  const oldList = await list(OLD);
  const before = await links();
  const moving = await system.db.connect();
  try {
    await moving.query('BEGIN');
    await moving.query('UPDATE accounts SET domain = $2 WHERE id = $1', [moved.id, NEW]);
    const linking = [
      `/accounts/${colleague.id}/contacts/${moved.id}`,
      `/accounts/${moved.id}/contacts/${colleague.id}`,
      `/contacts_lists/${oldList}/contacts/${moved.id}`,
      `/accounts/${moved.id}/contacts_lists/${oldList}`,
    ].map((path) => link(path, oldAdmin.key));
    await eventually(
      () => system.rows("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"),
      (waiting) => waiting.length === linking.length,
    );
    await moving.query('COMMIT');
    expect((await Promise.all(linking)).map(({ status }) => status)).toEqual([404, 404, 404, 404]);
  } finally {
    moving.release();
  }
  expect(await links()).toEqual(before);
});

test('a move that is refused takes nothing away', async () => {
  await system.space('full.example.org', { maxAccounts: 1 });
  await person('full.example.org');
  const [staying, colleague] = [await person(OLD), await person(OLD)];
  await link(`/accounts/${staying.id}/contacts/${colleague.id}`);
  expect((await move(staying, 'full.example.org')).status).toBe(403);
  expect(await links()).toContain(`contact ${staying.id} ${colleague.id}`);
});
