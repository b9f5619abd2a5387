// The SQL that bin/flexiapi flexisip:config prints, run as it is: the role, what it may read, and the HA1 that SIP clients compute.
import { createHash } from 'node:crypto';
import pg from 'pg';
import { ConfFile } from '../src/services/flexisip/conf-file';
import { numberNames, parseConnectionString } from '../src/services/flexisip/connection-string';
import { startFlexisipSystem, type FlexisipSystem, type Printed } from './helpers/flexisip';
import { SPACE, type System } from './helpers/system';

const OTHER = 'other.example.org';
let flexisip: FlexisipSystem;
let system: System;
beforeAll(async () => {
  flexisip = await startFlexisipSystem();
  ({ system } = flexisip);
  await system.space(OTHER);
});
afterAll(() => flexisip.stop());

const ha1 = (algorithm: string, ...parts: string[]): string =>
  createHash(algorithm === 'MD5' ? 'md5' : 'sha256')
    .update(parts.join(':'))
    .digest('hex');

let printed: Printed;
let role: pg.Client;
beforeAll(async () => {
  printed = await flexisip.config();
  for (const statement of printed.sql) await system.rows(statement);
  // A second time for the same password, as a script may.
  for (const statement of printed.sql) await system.rows(statement);
  role = await connect(printed);
});
afterAll(() => role.end());

async function connect({ conf }: Printed): Promise<pg.Client> {
  const file = new ConfFile(Buffer.from(conf));
  expect(file.get('module::Authentication', 'soci-backend')).toBe('postgresql');
  const { dbname, user, password, host, port } =
    parseConnectionString(file.get('module::Authentication', 'soci-connection-string') ?? '') ?? {};
  expect(user).toBe(flexisip.role);
  const client = new pg.Client({
    database: dbname ?? '',
    user: user ?? '',
    password: password ?? '',
    host: host ?? '',
    port: Number(port),
  });
  await client.connect();
  return client;
}
/** As Flexisip does through SOCI: the realm is in the place of the domain. */
async function passwords(username: string, realm: string, from = printed, client = role): Promise<Record<string, string>> {
  const { text, names } = numberNames(new ConfFile(Buffer.from(from.conf)).get('module::Authentication', 'soci-password-request') ?? '');
  const values: Record<string, string> = { id: username, domain: realm, authid: username };
  const { rows } = await client.query<string[]>({ text, values: names.map((name) => values[name]), rowMode: 'array' });
  return Object.fromEntries(rows.map(([password, algorithm]) => [algorithm, password]));
}

test('gives the HA1 that a SIP client computes, SHA-256 and MD5, by the domain', async () => {
  await flexisip.person('alice-a', SPACE);
  await flexisip.person('bob-bob', OTHER, { algorithm: 'MD5', password: 'pässword' });
  expect((await passwords('alice-a', SPACE))['SHA-256']).toBe(ha1('SHA-256', 'alice-a', SPACE, 'a long secret'));
  expect(await passwords('bob-bob', OTHER)).toMatchObject({ MD5: ha1('MD5', 'bob-bob', OTHER, 'pässword') });
  expect(await passwords('bob-bob', SPACE)).toEqual({});
  expect(await passwords("bob-bob' or true --", OTHER)).toEqual({});
});

test('hashes in capitals and passwords as they are, as imports may have them', async () => {
  const { id } = await system.account('imported');
  const hash = ha1('MD5', 'imported', SPACE, 'secret');
  await system.rows("INSERT INTO passwords (account_id, password, algorithm) VALUES ($1, $2, 'MD5'), ($1, 'As It Is', 'CLRTXT')", [
    id,
    hash.toUpperCase(),
  ]);
  expect(await passwords('imported', SPACE)).toEqual({ MD5: hash, CLRTXT: 'As It Is' });
});

test('blocked accounts and those never activated give nothing; unblocked ones do again', async () => {
  const id = await flexisip.person('mallory', SPACE);
  const block = async (what: string): Promise<void> => {
    expect((await system.api(`/accounts/${id}/${what}`, { method: 'POST', key: flexisip.admin.key })).status).toBe(200);
  };
  expect(Object.keys(await passwords('mallory', SPACE))).not.toEqual([]);
  await block('block');
  expect(await passwords('mallory', SPACE)).toEqual({});
  await block('unblock');
  expect(Object.keys(await passwords('mallory', SPACE))).not.toEqual([]);
  await block('deactivate');
  expect(await passwords('mallory', SPACE)).toEqual({});
});

test('the role reads the two views and nothing else', async () => {
  const tables = await system.rows<{ name: string }>(
    "SELECT c.oid::regclass::text AS name FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')",
  );
  expect(tables.length).toBeGreaterThan(30);
  const readable: string[] = [];
  for (const { name } of tables) {
    await role.query(`SELECT 1 FROM ${name} LIMIT 1`).then(
      () => readable.push(name),
      ({ code }: { code?: string }) => expect([name, code]).toEqual([name, '42501']),
    );
  }
  expect(readable.toSorted((a, b) => a.localeCompare(b))).toEqual(['sip_credentials', 'sip_subscribers']);
  for (const statement of [
    'SELECT email FROM accounts',
    'UPDATE sip_credentials SET activated = true',
    'DELETE FROM sip_subscribers',
    'CREATE ROLE x',
  ])
    await expect(role.query(statement)).rejects.toMatchObject({ code: expect.stringMatching(/^(42501|55000)$/) as string });
});

test('by the index on names, not by reading all accounts', async () => {
  const { text } = numberNames(new ConfFile(Buffer.from(printed.conf)).get('module::Authentication', 'soci-password-request') ?? '');
  await system.rows(
    "INSERT INTO accounts (username, domain, ip_address, user_agent, created_at) SELECT 'many' || n, $1, '', '', now() FROM generate_series(1, 5000) n",
    [SPACE],
  );
  await system.rows('ANALYZE accounts');
  const [plan] = await system.rows<{ 'QUERY PLAN': unknown }>(
    `EXPLAIN (FORMAT JSON) ${text.replace('$1', "'alice-a'").replace('$2', `'${SPACE}'`)}`,
  );
  expect(JSON.stringify(plan)).toContain('accounts_username_domain_key');
  const [other] = await system.rows<{ 'QUERY PLAN': unknown }>(
    `EXPLAIN (FORMAT JSON) SELECT ha1 FROM sip_subscribers WHERE username = 'alice-a' AND domain = '${SPACE}'`,
  );
  expect(JSON.stringify(other)).toContain('accounts_username_domain_key');
});

test('Kamailio and OpenSIPS: a row an account, and nothing that anybody knows in the place of a hash that is not there', async () => {
  type Row = Record<'ha1' | 'ha1b' | 'ha1_sha256' | 'ha1_sha512t256', string>;
  const row = async (username: string, domain = SPACE): Promise<Row[]> =>
    (
      await role.query<Row>('SELECT ha1, ha1b, ha1_sha256, ha1_sha512t256 FROM sip_subscribers WHERE username = $1 AND domain = $2', [
        username,
        domain,
      ])
    ).rows;
  const id = await flexisip.person('carol-c', SPACE);
  await system.rows("DELETE FROM passwords WHERE account_id = $1 AND algorithm = 'MD5'", [id]);
  const [first, second] = [await row('carol-c'), await row('carol-c')];
  expect(first).toHaveLength(1);
  expect(first[0]?.ha1_sha256).toBe(ha1('SHA-256', 'carol-c', SPACE, 'a long secret'));
  for (const column of ['ha1', 'ha1b', 'ha1_sha512t256'] as const) {
    expect(first[0]?.[column]).toMatch(column.startsWith('ha1_') ? /^[0-9a-f]{64}$/ : /^[0-9a-f]{32}$/);
    expect(second[0]?.[column]).not.toBe(first[0]?.[column]);
  }
  expect(await row('imported')).toMatchObject([
    { ha1: ha1('MD5', 'imported', SPACE, 'As It Is'), ha1_sha256: ha1('SHA-256', 'imported', SPACE, 'As It Is') },
  ]);
  expect(await row('bob-bob', OTHER)).toMatchObject([{ ha1: ha1('MD5', 'bob-bob', OTHER, 'pässword') }]);
  await system.rows('UPDATE accounts SET blocked = true WHERE id = $1', [id]);
  expect(await row('carol-c')).toEqual([]);
  // A function of the reader's own, said to cost nothing so that it is asked first, sees no row that the view leaves out.
  await role.query(`CREATE FUNCTION pg_temp.peep(seen text) RETURNS boolean COST 0.0000001 LANGUAGE plpgsql AS
                    $$ BEGIN PERFORM set_config('peep.seen', current_setting('peep.seen', true) || ' ' || seen, false); RETURN true; END $$`);
  const hash = first[0]?.ha1_sha256;
  const peep = async (from: string): Promise<string> => {
    await role.query("SELECT set_config('peep.seen', '', false)");
    await role.query(`SELECT FROM ${from}`);
    return (await role.query<{ seen: string }>("SELECT current_setting('peep.seen') AS seen")).rows[0]?.seen ?? '';
  };
  const [credentials, subscribers] = [
    await peep('sip_credentials WHERE pg_temp.peep(password)'),
    await peep('sip_subscribers WHERE pg_temp.peep(username)'),
  ];
  expect([credentials.includes('As It Is'), credentials.includes(hash ?? '')]).toEqual([true, false]);
  // PostgreSQL asks first what costs nothing, as whether an account is blocked; whether it has a password comes behind.
  expect([subscribers.includes('imported'), / (?:carol-c|root)\b/.test(subscribers)]).toEqual([true, false]);
  expect(await row('root')).toEqual([]);
});

test('what is no whole hash, and an empty password, is nobody’s password', async () => {
  const broken = {
    empty: ['', 'MD5'],
    half: ['ab12', 'SHA-256'],
    other: ['x'.repeat(32), 'MD5'],
    clear: ['', 'CLRTXT'],
  };
  for (const [username, [password, algorithm]] of Object.entries(broken)) {
    const { id } = await system.account(`broken-${username}`);
    await system.rows('INSERT INTO passwords (account_id, password, algorithm) VALUES ($1, $2, $3)', [id, password, algorithm]);
  }
  for (const view of ['sip_credentials', 'sip_subscribers'])
    expect((await role.query(`SELECT username FROM ${view} WHERE username LIKE 'broken-%'`)).rows).toEqual([]);
});

test('one realm for all: the domain is in the statement, and only one can be served', async () => {
  const realm = 'one realm';
  const { code, stderr } = await flexisip.flexiapi(['flexisip:config', '--role', flexisip.role], { ACCOUNT_REALM: realm });
  expect([code, stderr]).toEqual([1, expect.stringContaining('--domain') as string]);
  const one = await flexisip.config(['--domain', OTHER, '--new-role-password'], { ACCOUNT_REALM: realm });
  const file = new ConfFile(Buffer.from(one.conf));
  expect([file.get('module::Authentication', 'realm'), file.get('module::Authentication', 'auth-domains')]).toEqual([realm, OTHER]);
  const hash = ha1('SHA-256', 'dave', realm, 'secret');
  for (const domain of [SPACE, OTHER]) {
    const { id } = await system.account('dave', { domain });
    await system.rows("INSERT INTO passwords (account_id, password, algorithm) VALUES ($1, $2, 'SHA-256')", [
      id,
      domain === OTHER ? hash : 'another',
    ]);
  }
  for (const statement of one.sql) await system.rows(statement);
  const client = await connect(one);
  expect(await passwords('dave', realm, one, client)).toEqual({ 'SHA-256': hash });
  await client.end();
  for (const statement of printed.sql) await system.rows(statement);
});
