// Characters that nobody sees, moments at the ends of time, and headers that say nothing.
import { eventually, SPACE, startSystem, type Account, type Answer, type System } from './helpers/system';

let system: System;
let admin: Account;
let superAdmin: Account;
beforeAll(async () => {
  system = await startSystem({ webs: 1, workers: 1, environment: { ACCOUNT_USERNAME_REGEX: '^[^A-Z]*$' } });
  await system.space('own.example.org');
  admin = await system.account('admin', { domain: 'own.example.org', admin: true });
  superAdmin = await system.account('super-admin', { admin: true });
});
afterAll(() => system.stop());

let serial = 0;
const make = (fields: object, headers: Record<string, string> = {}): Promise<Answer> =>
  system.api('/accounts', {
    method: 'POST',
    key: admin.key,
    headers,
    body: { username: `person-${(serial += 1)}`, password: 'password', algorithm: 'MD5', ...fields },
  });
const faultsOf = ({ status, json }: Answer): [number, string[]] => [status, Object.keys((json['errors'] as object | undefined) ?? {})];

/** One of each property that makes a character invisible. */
const INVISIBLE = {
  'a zero-width space': '\u200b',
  'a zero-width joiner': '\u200d',
  'a byte order mark': '\ufeff',
  'a soft hyphen': '\u00ad',
  'a direction of text': '\u202e',
  'an isolate': '\u2066',
  'a variation selector': '\ufe0f',
  'a no-break space': '\u00a0',
  'an ideographic space': '\u3000',
  'a line separator': '\u2028',
  'a C1 control': '\u0085',
  'a Hangul filler': '\u3164',
  'a grapheme joiner': '\u034f',
  'a blank of Braille': '\u2800',
  'a tag': '\u{e0061}',
};

describe.each(Object.entries(INVISIBLE))('%s', (_name, character) => {
  test('in an email is refused, wherever it stands', async () => {
    for (const email of [`al${character}ice@example.org`, `alice@exam${character}ple.org`, `alice@example.o${character}rg`])
      expect(faultsOf(await make({ email }))).toEqual([422, ['email']]);
  });

  test('in a username is refused, whatever ACCOUNT_USERNAME_REGEX allows', async () => {
    expect(faultsOf(await make({ username: `al${character}ice-wonder` }))).toEqual([422, ['username']]);
  });
});

test('the message says what it is, in both languages; the second email of a person is asked for the same way', async () => {
  const email = 'al\u200bice@example.org';
  const messageOf = async (language: string): Promise<unknown> =>
    ((await make({ email }, { 'accept-language': language })).json['errors'] as { email: string[] }).email[0];
  expect(await messageOf('en')).toBe('The email field contains invisible characters.');
  expect(await messageOf('fr')).toBe('Le champ email contient des caractères invisibles.');
  const { id, key } = await system.account('second-mail');
  await system.rows("INSERT INTO account_creation_tokens (token, used, account_id, created_at) VALUES ('secondmail000', true, $1, now())", [
    id,
  ]);
  expect(faultsOf(await system.api('/accounts/me/email/request', { method: 'POST', key, body: { email } }))).toEqual([422, ['email']]);
});

test('letters of any script are seen', async () => {
  for (const fields of [
    { email: 'jürgen@example.org' },
    { username: 'élodie.müller' },
    { display_name: 'Jürgen 👩\u200d👩\u200d👧 ❤\ufe0f' },
    { display_name: 'می\u200cخواهم' },
    { display_name: 'שלום\u200f (Shalom)' },
    { display_name: 'Jean\u00a0Paul' },
  ])
    expect([fields, (await make(fields)).status]).toEqual([fields, 200]);
});

test('a display name turns no text around it, and something of it is seen', async () => {
  for (const name of ['a\u202egnp.exe', 'a\u2067b', 'a\u2069b', 'a\u2028b', 'a\u0085b', '\u200b', '\u3164\u200d', '\u2800'])
    expect([name, ...faultsOf(await make({ display_name: name }))]).toEqual([name, 422, ['display_name']]);
});

const read = (query: string): Promise<Answer> => system.api(`/statistics/messages?${query}`, { key: admin.key });

describe('moments', () => {
  test.each([
    ['from=9999-12-31T23:30:00Z&to=9999-12-31T23:59:59Z&by=hour', ['from']],
    ['from=9999-12-30&to=9999-12-31T23:59:59Z&by=hour', ['to']],
    ['from=9999-12-30&to=9999-12-31T12:00:00&by=hour&timezone=America/Los_Angeles', ['to']],
    ['from=0001-01-01T00:00:00&to=0001-01-03&by=day&timezone=Pacific/Kiritimati', ['from']],
    ['to=0001-01-05&by=year', ['to']],
    ['to=0001-01-05&by=day', ['to']],
    ['to=10000-01-01', ['to']],
    ['to=%2B010000-01-01', ['to']],
    ['to=0000-01-01', ['to']],
    ['to=-0001-01-01', ['to']],
    ['to=infinity', ['to']],
    ['to=2016-12-31T23:59:60Z', ['to']],
    ['from=1900-01-01&to=9999-12-31&by=year', ['by']],
  ])('%s: 422', async (query, fields) => {
    expect(faultsOf(await read(query))).toEqual([422, fields]);
  });

  test.each(['from=9999-01-01&to=9999-12-31&by=month', 'from=0001-01-02&to=0001-01-05&by=day&timezone=America/Los_Angeles'])(
    '%s: read',
    async (query) => {
      expect((await read(query)).status).toBe(200);
    },
  );

  test('the message names the bounds', async () => {
    expect((await read('from=9999-01-01&to=9999-12-31T01:00:00Z')).json['message']).toBe(
      'The to field must be between 0001-01-02 and 9999-12-31.',
    );
  });

  test('what is reported at either end of the years is stored, and counted', async () => {
    const report = (route: string, body: object): Promise<Answer> => system.api(route, { method: 'POST', key: admin.key, body });
    const from = `alice@${SPACE}`;
    for (const [id, sent_at] of [
      ['first', '0001-01-01T00:00:00Z'],
      ['last', '9999-12-31T23:59:59.999Z'],
    ])
      expect((await report('/statistics/messages', { id, from, sent_at, encrypted: false })).status).toBe(200);
    const call = { id: 'long', from, to: from, initiated_at: '0001-01-01T00:00:00Z', ended_at: '9999-12-31T23:59:59Z' };
    expect((await report('/statistics/calls', call)).status).toBe(200);
    for (const sent_at of ['10000-01-01T00:00:00Z', '+010000-01-01', '0000-12-31', '-0001-01-01', 'infinity', '2016-12-31T23:59:60Z'])
      expect([sent_at, ...faultsOf(await report('/statistics/messages', { id: 'none', from, sent_at, encrypted: false }))]).toEqual([
        sent_at,
        422,
        ['sent_at'],
      ]);
    const device = await system.api(`/statistics/messages/first/to/${from}/devices/d`, {
      method: 'PATCH',
      key: admin.key,
      body: { last_status: 200, received_at: '9999-12-31T23:59:59Z' },
    });
    expect(device.json['received_at']).toBe('9999-12-31T23:59:59.000000Z');
    await eventually(
      () => system.rows('SELECT 1 FROM statistics_dirty_buckets'),
      (rows) => rows.length === 0,
      30,
    );
    const { json } = await system.api('/statistics/calls?from=0001-01-02&to=0001-01-03', { key: superAdmin.key });
    expect(json['total']).toMatchObject({ calls: 0 });
  });

  test('a Space may expire at the end of time', async () => {
    const space = { domain: 'never.example.org', super: false, expire_at: '9999-12-31T23:59:59Z' };
    const made = await system.api('/spaces', { method: 'POST', key: superAdmin.key, body: space });
    expect([made.status, made.json['expire_at']]).toEqual([201, '9999-12-31T23:59:59.000000Z']);
    for (const expire_at of ['10000-01-01', '0000-01-01', 'infinity', '9999-12-31T23:59:60Z'])
      expect(faultsOf(await system.api('/spaces', { method: 'POST', key: superAdmin.key, body: { ...space, expire_at } }))).toEqual([
        422,
        ['expire_at'],
      ]);
    const activated = await make({ confirmation_key_expires: '9999-12-31 23:59:59' });
    expect(activated.json['confirmation_key_expires']).toBe('9999-12-31 23:59:59');
  });
});

describe('an empty User-Agent', () => {
  test('is none: null, or the name of the server where an account has one', async () => {
    const empty = { 'user-agent': '' };
    expect((await system.api('/accounts/auth_token', { method: 'POST', headers: empty })).json['user_agent']).toBeNull();
    expect(
      (await system.api('/account_creation_tokens', { method: 'POST', key: admin.key, headers: empty })).json['user_agent'],
    ).toBeNull();
    expect((await make({}, empty)).json['user_agent']).toBe('FlexiAPI');
  });

  test('of an older row is shown as it is, which the document allows', async () => {
    const { id } = await system.account('older-row', { domain: 'own.example.org' });
    await system.rows("UPDATE accounts SET user_agent = '' WHERE id = $1", [id]);
    await system.rows(
      "INSERT INTO phone_change_codes (account_id, code, phone, user_agent, created_at) VALUES ($1, '1234', '+33600000001', '', now())",
      [id],
    );
    const { status, json } = await system.api(`/accounts/${id}`, { key: admin.key });
    expect([status, json['user_agent'], (json['phone_change_code'] as { user_agent: string }).user_agent]).toEqual([200, '', '']);
    const document = (await system.api('/openapi.json')).json as unknown as {
      components: { schemas: { Account: { properties: Record<string, { minLength?: number }> } } };
    };
    const schema = document.components.schemas.Account.properties['user_agent'];
    expect(schema?.minLength ?? 0).toBe(0);
  });
});

test('the document says of each endpoint for accounts that the caller may be gone, also where it has a 404 of its own', async () => {
  const { paths, components } = (await system.api('/openapi.json')).json as unknown as {
    paths: Record<string, Record<string, { security: unknown[]; responses: Record<string, { $ref?: string; description?: string }> }>>;
    components: { responses: { NotFound: { description: string } } };
  };
  const shared = { '#/components/responses/NotFound': components.responses.NotFound.description } as Record<string, string>;
  const silent = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations)
      .filter(
        ([, { security, responses }]) =>
          security.length > 0 &&
          !(responses['404']?.description ?? shared[responses['404']?.$ref ?? ''])?.includes('the account was deleted meanwhile'),
      )
      .map(([method]) => `${method} ${path}`),
  );
  expect(silent).toEqual([]);
  const { key, id } = await system.account('deleted-meanwhile');
  await system.rows('UPDATE accounts SET domain = domain WHERE id = $1', [id]);
  const deleting = await system.db.connect();
  try {
    await deleting.query('BEGIN');
    await deleting.query('DELETE FROM accounts WHERE id = $1', [id]);
    const answer = system.api('/accounts/me/provision', { key });
    await eventually(
      () => system.rows("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"),
      (waiting) => waiting.length === 1,
    );
    await deleting.query('COMMIT');
    expect((await answer).status).toBe(404);
  } finally {
    deleting.release();
  }
});
