// Contacts, contacts lists, types, actions, dictionary: what admins hang on accounts, and what people see of it.
import { eventually, SPACE, startSystem, type Account, type Answer, type System } from './helpers/system';
import { readMeaning } from './helpers/vcard-meaning';

const OTHER = 'tenant.example.org';
let system: System;
let superAdmin: Account;
let admin: Account;
let otherAdmin: Account;
let serial = 0;
const newAccount = (domain = SPACE): Promise<Account & { sip: string }> => {
  const name = `person-${(serial += 1)}`;
  return system.account(name, { domain }).then((account) => ({ ...account, sip: `${name}@${domain}` }));
};
const ask = (method: string, route: string, key: string, body?: unknown): Promise<Answer> => system.api(route, { method, key, body });
const statusOf = async (...request: Parameters<typeof ask>): Promise<number> => (await ask(...request)).status;
const listed = async (key: string, route = '/accounts/me/contacts'): Promise<Record<string, unknown>[]> =>
  (await ask('GET', route, key)).json as unknown as Record<string, unknown>[];

beforeAll(async () => {
  system = await startSystem({ webs: 2, workers: 0, environment: { ACCOUNT_REALM: 'realm.example.org' } });
  await system.space(OTHER);
  superAdmin = await system.account('the-super', { admin: true });
  await system.space('own.example.org');
  admin = await system.account('the-admin', { domain: 'own.example.org', admin: true });
  otherAdmin = await system.account('other-admin', { domain: OTHER, admin: true });
});
afterAll(() => system.stop());

describe('contacts', () => {
  test('one-directional, in the scope, told apart by what is wrong', async () => {
    const one = await newAccount('own.example.org');
    const two = await newAccount('own.example.org');
    const foreign = await newAccount(OTHER);
    const route = `/accounts/${one.id}/contacts/${two.id}`;
    expect(await ask('POST', route, admin.key)).toMatchObject({ status: 200, text: '{}' });
    expect(await ask('POST', route, admin.key)).toMatchObject({ status: 403, json: { message: 'This account is already a contact.' } });
    expect(await statusOf('POST', `/accounts/${one.id}/contacts/${foreign.id}`, admin.key)).toBe(404);
    expect(await statusOf('POST', `/accounts/${foreign.id}/contacts/${one.id}`, admin.key)).toBe(404);
    expect(await statusOf('POST', `/accounts/${one.id}/contacts/999999`, admin.key)).toBe(404);
    expect(await statusOf('POST', `/accounts/${one.id}/contacts/abc`, admin.key)).toBe(404);
    expect(await statusOf('POST', `/accounts/${one.id}/contacts/${foreign.id}`, superAdmin.key)).toBe(200);

    expect(await listed(one.key)).toEqual([
      {
        id: two.id,
        username: two.sip.split('@')[0],
        domain: 'own.example.org',
        activated: true,
        dtmf_protocol: null,
        display_name: null,
        realm: 'realm.example.org',
        types: [],
        actions: [],
        dictionary: {},
      },
      expect.objectContaining({ id: foreign.id, domain: OTHER }),
    ]);
    expect(await listed(two.key)).toEqual([]);
    expect(await ask('GET', `/accounts/me/contacts/sip:${two.sip}`, one.key)).toMatchObject({ status: 200, json: { id: two.id } });
    expect(await statusOf('GET', `/accounts/me/contacts/${one.sip}`, two.key)).toBe(404);
    expect(await statusOf('GET', '/accounts/me/contacts/no-at-sign', two.key)).toBe(404);

    expect(await ask('GET', `/accounts/${one.id}/contacts/${two.id}`, admin.key)).toMatchObject({ status: 200, json: { id: two.id } });
    expect(await statusOf('GET', `/accounts/${one.id}/contacts/${one.id}`, admin.key)).toBe(404);
    expect(await statusOf('GET', `/accounts/${one.id}/contacts`, otherAdmin.key)).toBe(404);
    expect(await statusOf('DELETE', route, otherAdmin.key)).toBe(404);
    expect(await ask('DELETE', route, admin.key)).toMatchObject({ status: 200, text: '{}' });
    expect(await ask('DELETE', route, admin.key)).toMatchObject({ status: 403, json: { message: 'This account is not a contact.' } });
    // What a super admin linked across Spaces, the admin of the account can take away.
    expect(await statusOf('DELETE', `/accounts/${one.id}/contacts/${foreign.id}`, admin.key)).toBe(200);
    expect(await listed(admin.key, `/accounts/${one.id}/contacts`)).toEqual([]);
  });

  test('ten at once add one: one 200, nine 403', async () => {
    const [one, two] = [await newAccount(), await newAccount()];
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => statusOf('POST', `/accounts/${one.id}/contacts/${two.id}`, superAdmin.key)),
    );
    expect(answers.toSorted((a, b) => a - b)).toEqual([200, ...Array.from({ length: 9 }, () => 403)]);
  });

  test('an account that is deleted in the same moment: 404, never 500', async () => {
    const one = await newAccount();
    const others = await Promise.all(Array.from({ length: 10 }, () => newAccount()));
    const answers = await Promise.all(
      others.flatMap(({ id }) => [
        statusOf('POST', `/accounts/${one.id}/contacts/${id}`, superAdmin.key),
        statusOf('DELETE', `/accounts/${id}`, superAdmin.key),
      ]),
    );
    expect(answers.every((status) => status === 200 || status === 404)).toBe(true);
    expect(await listed(one.key)).toEqual([]);
  });

  test('own contacts and those of lists, each once, by id, with what hangs on them; in one query however many', async () => {
    const person = await newAccount();
    const contacts = await Promise.all(Array.from({ length: 40 }, () => newAccount()));
    const lists = await Promise.all(
      ['Doors', 'Gates'].map(
        async (title) => (await ask('POST', '/contacts_lists', superAdmin.key, { title, description: 'x' })).json['id'],
      ),
    );
    for (const list of lists) {
      expect(await statusOf('POST', `/accounts/${person.id}/contacts_lists/${String(list)}`, superAdmin.key)).toBe(200);
      await Promise.all(contacts.map(({ id }) => ask('POST', `/contacts_lists/${String(list)}/contacts/${id}`, superAdmin.key)));
    }
    await ask('POST', `/accounts/${person.id}/contacts/${contacts[0]?.id}`, superAdmin.key);
    const first = contacts.map(({ id }) => id).toSorted((a, b) => a - b)[0] ?? 0;
    await system.rows("UPDATE accounts SET dtmf_protocol = 'sipinfo', display_name = 'Front door' WHERE id = $1", [first]);
    await ask('POST', `/accounts/${first}/actions`, superAdmin.key, { key: 'open', code: '12a' });
    await ask('POST', `/accounts/${first}/dictionary/floor`, superAdmin.key, { value: '3' });
    const found = await listed(person.key);
    expect(found.map(({ id }) => id)).toEqual(contacts.map(({ id }) => id).toSorted((a, b) => a - b));
    expect(found[0]).toMatchObject({
      display_name: 'Front door',
      dtmf_protocol: 'sipinfo',
      actions: [{ key: 'open', code: '12a' }],
      dictionary: { floor: '3' },
    });
    expect(Object.keys(found[0] ?? {})).not.toContain('provisioning_token');
  });
});

describe('contacts lists', () => {
  const make = (key: string, body: object): Promise<Answer> => ask('POST', '/contacts_lists', key, body);

  test('made, read, changed, deleted; each Space has its own', async () => {
    const made = await make(admin.key, { title: 'Team', description: 'Two\nlines' });
    expect(made).toMatchObject({ status: 201, json: { title: 'Team', description: 'Two\nlines', contacts_count: 0 } });
    const route = `/contacts_lists/${String(made.json['id'])}`;
    expect(await make(admin.key, { title: 'Team', description: 'again' })).toMatchObject({
      status: 422,
      json: { errors: { title: ['This title is already taken.'] } },
    });
    expect((await make(otherAdmin.key, { title: 'Team', description: 'theirs' })).status).toBe(201);
    const person = await newAccount('own.example.org');
    await ask('POST', `${route}/contacts/${person.id}`, admin.key);
    expect((await ask('GET', route, admin.key)).json).toMatchObject({ title: 'Team', contacts_count: 1 });
    expect(await statusOf('GET', route, otherAdmin.key)).toBe(404);
    expect((await listed(admin.key, '/contacts_lists')).map(({ title }) => title)).toEqual(['Team']);
    expect((await listed(superAdmin.key, '/contacts_lists')).length).toBeGreaterThan(1);

    expect(await ask('PUT', route, admin.key, { title: 'Crew', description: 'new' })).toMatchObject({
      status: 200,
      json: { title: 'Crew', contacts_count: 1 },
    });
    expect(await statusOf('PUT', route, otherAdmin.key, { title: 'Mine', description: 'now' })).toBe(404);
    const other = await make(admin.key, { title: 'Second', description: 'x' });
    expect(await statusOf('PUT', `/contacts_lists/${String(other.json['id'])}`, admin.key, { title: 'Crew', description: 'x' })).toBe(422);
    expect(await statusOf('DELETE', route, otherAdmin.key)).toBe(404);
    expect(await ask('DELETE', route, admin.key)).toMatchObject({ status: 200, text: '{}' });
    expect(await statusOf('DELETE', route, admin.key)).toBe(404);
    expect(await statusOf('GET', route, admin.key)).toBe(404);
  });

  test.each([
    [{}, ['title', 'description']],
    [{ title: 'x'.repeat(256), description: 'x' }, ['title']],
    [{ title: 'x', description: ' ' }, ['description']],
    [{ title: 7, description: 'x' }, ['title']],
    [{ title: 'a\nb', description: 'x' }, ['title']],
    [{ title: 'x', description: 'a\u0000b' }, ['description']],
    [{ title: 'x', description: 'x'.repeat(10_001) }, ['description']],
  ])('%j is refused by its fields', async (body, fields) => {
    const { status, json } = await make(admin.key, body);
    expect([status, Object.keys(json['errors'] as object)]).toEqual([422, fields]);
  });

  test('accounts on a list, and lists given to accounts: 404 and 403 each', async () => {
    const list = String((await make(admin.key, { title: 'Links', description: 'x' })).json['id']);
    const foreignList = String((await make(otherAdmin.key, { title: 'Links', description: 'x' })).json['id']);
    const person = await newAccount('own.example.org');
    const foreign = await newAccount(OTHER);
    const messageOf = async (...request: Parameters<typeof ask>): Promise<unknown[]> => {
      const { status, json } = await ask(...request);
      return [status, json['message']];
    };
    const on = `/contacts_lists/${list}/contacts`;
    expect(await statusOf('POST', `${on}/${person.id}`, admin.key)).toBe(200);
    expect(await statusOf('POST', `${on}/${person.id}`, admin.key)).toBe(403);
    expect(await messageOf('POST', `${on}/${foreign.id}`, admin.key)).toEqual([404, 'This account does not exist.']);
    expect(await messageOf('POST', `/contacts_lists/${foreignList}/contacts/${person.id}`, admin.key)).toEqual([
      404,
      'This contacts list does not exist.',
    ]);
    expect(await statusOf('DELETE', `/contacts_lists/${foreignList}/contacts/${person.id}`, admin.key)).toBe(404);
    expect(await statusOf('DELETE', `${on}/${person.id}`, admin.key)).toBe(200);
    expect(await statusOf('DELETE', `${on}/${person.id}`, admin.key)).toBe(403);

    const given = `/accounts/${person.id}/contacts_lists`;
    expect(await statusOf('POST', `${given}/${list}`, admin.key)).toBe(200);
    expect(await messageOf('POST', `${given}/${list}`, admin.key)).toEqual([403, 'The account already has this contacts list.']);
    expect(await statusOf('POST', `${given}/${foreignList}`, admin.key)).toBe(404);
    expect(await statusOf('POST', `/accounts/${foreign.id}/contacts_lists/${list}`, admin.key)).toBe(404);
    expect(await statusOf('DELETE', `/accounts/${foreign.id}/contacts_lists/${list}`, admin.key)).toBe(404);
    expect(await statusOf('DELETE', `${given}/${list}`, admin.key)).toBe(200);
    expect(await messageOf('DELETE', `${given}/${list}`, admin.key)).toEqual([403, 'The account does not have this contacts list.']);
  });

  test('a super admin’s list belongs to the Space of the Host', async () => {
    const { json } = await make(superAdmin.key, { title: 'By host', description: 'x' });
    const [row] = await system.rows('SELECT s.domain FROM contacts_lists l JOIN spaces s ON s.id = l.space_id WHERE l.id = $1', [
      json['id'],
    ]);
    expect(row).toEqual({ domain: SPACE });
  });
});

describe('account types', () => {
  test('one vocabulary; unique; given to accounts', async () => {
    const made = await ask('POST', '/account_types', admin.key, { key: 'door-phone_1' });
    expect(made).toMatchObject({ status: 201, json: { key: 'door-phone_1' } });
    const id = String(made.json['id']);
    expect(await ask('POST', '/account_types', otherAdmin.key, { key: 'door-phone_1' })).toMatchObject({
      status: 422,
      json: { errors: { key: ['This key is already taken.'] } },
    });
    expect(await statusOf('PUT', `/account_types/${id}`, admin.key, { key: 'door-phone_1' })).toBe(200);
    const second = await ask('POST', '/account_types', admin.key, { key: 'gate' });
    expect(await statusOf('PUT', `/account_types/${String(second.json['id'])}`, admin.key, { key: 'door-phone_1' })).toBe(422);
    expect(await statusOf('PUT', '/account_types/999999', admin.key, { key: 'unheard' })).toBe(404);
    expect(await ask('GET', `/account_types/${id}`, otherAdmin.key)).toMatchObject({
      status: 200,
      json: { id: Number(id), key: 'door-phone_1' },
    });
    expect((await listed(admin.key, '/account_types')).map(({ key }) => key)).toEqual(['door-phone_1', 'gate']);

    const person = await newAccount('own.example.org');
    const given = `/accounts/${person.id}/types/${id}`;
    expect(await statusOf('POST', given, admin.key)).toBe(200);
    expect(await statusOf('POST', given, admin.key)).toBe(403);
    expect(await statusOf('POST', `/accounts/${person.id}/types/999999`, admin.key)).toBe(404);
    expect(await statusOf('POST', given, otherAdmin.key)).toBe(404);
    expect((await ask('GET', `/accounts/${person.id}`, admin.key)).json['types']).toEqual([{ id: Number(id), key: 'door-phone_1' }]);
    expect(await statusOf('DELETE', given, otherAdmin.key)).toBe(404);
    expect(await statusOf('DELETE', given, admin.key)).toBe(200);
    expect(await statusOf('DELETE', given, admin.key)).toBe(403);
    await ask('POST', given, admin.key);
    expect(await statusOf('DELETE', `/account_types/${id}`, admin.key)).toBe(200);
    expect(await statusOf('DELETE', `/account_types/${id}`, admin.key)).toBe(404);
    expect(await statusOf('GET', `/account_types/${id}`, admin.key)).toBe(404);
    expect((await ask('GET', `/accounts/${person.id}`, admin.key)).json['types']).toEqual([]);
  });

  test.each([[{}], [{ key: 'Upper' }], [{ key: 'é' }], [{ key: 'a b' }], [{ key: 'k'.repeat(65) }], [{ key: 'k\nx' }], [{ key: 5 }]])(
    '%j is refused by its field',
    async (body) => {
      for (const [method, route] of [
        ['POST', '/account_types'],
        ['PUT', '/account_types/1'],
      ] as const) {
        const { status, json } = await ask(method, route, admin.key, body);
        expect([status, Object.keys(json['errors'] as object)]).toEqual([422, ['key']]);
      }
    },
  );
});

describe('actions', () => {
  test('403 without a DTMF protocol on all of them, before the body is looked at; hidden then, not lost', async () => {
    const person = await newAccount('own.example.org');
    const route = `/accounts/${person.id}/actions`;
    const all = [
      ['GET', route],
      ['GET', `${route}/1`],
      ['POST', route],
      ['PUT', `${route}/1`],
      ['DELETE', `${route}/1`],
    ] as const;
    for (const [method, path] of all) expect([method, await statusOf(method, path, admin.key)]).toEqual([method, 403]);
    for (const [method, path] of all) expect([method, await statusOf(method, path, otherAdmin.key)]).toEqual([method, 404]);
    await system.rows("UPDATE accounts SET dtmf_protocol = 'rfc2833' WHERE id = $1", [person.id]);

    const made = await ask('POST', `${route}/`, admin.key, { key: 'open', code: '1234ab' });
    expect(made).toMatchObject({ status: 201, json: { key: 'open', code: '1234ab' } });
    const one = `${route}/${String(made.json['id'])}`;
    expect((await ask('POST', route, admin.key, { key: 'open', code: '5' })).status).toBe(201);
    expect(await ask('GET', one, admin.key)).toMatchObject({ status: 200, json: made.json });
    expect(await ask('PUT', one, admin.key, { key: 'shut', code: '9' })).toMatchObject({ status: 200, json: { key: 'shut', code: '9' } });
    expect((await listed(admin.key, route)).map(({ key }) => key)).toEqual(['shut', 'open']);
    const neighbour = await newAccount('own.example.org');
    await system.rows("UPDATE accounts SET dtmf_protocol = 'rfc2833' WHERE id = $1", [neighbour.id]);
    expect(await statusOf('GET', `/accounts/${neighbour.id}/actions/${String(made.json['id'])}`, admin.key)).toBe(404);
    expect(await statusOf('PUT', `${route}/999999`, admin.key, { key: 'k', code: '9' })).toBe(404);

    await system.rows('UPDATE accounts SET dtmf_protocol = NULL WHERE id = $1', [person.id]);
    expect((await ask('GET', `/accounts/${person.id}`, admin.key)).json['actions']).toEqual([]);
    await system.rows("UPDATE accounts SET dtmf_protocol = 'sipinfo' WHERE id = $1", [person.id]);
    expect((await ask('GET', `/accounts/${person.id}`, admin.key)).json['actions']).toHaveLength(2);
    expect(await statusOf('DELETE', one, admin.key)).toBe(200);
    expect(await statusOf('DELETE', one, admin.key)).toBe(404);
  });

  test.each([
    [{}, ['key', 'code']],
    [{ key: 'k', code: 'a-b' }, ['code']],
    [{ key: 'k', code: 'ABC' }, ['code']],
    [{ key: 'k', code: 'c'.repeat(256) }, ['code']],
    [{ key: 'K', code: '1' }, ['key']],
  ])('%j is refused by its fields', async (body, fields) => {
    const person = await newAccount();
    await system.rows("UPDATE accounts SET dtmf_protocol = 'rfc2833' WHERE id = $1", [person.id]);
    for (const [method, route] of [
      ['POST', `/accounts/${person.id}/actions`],
      ['PUT', `/accounts/${person.id}/actions/1`],
    ] as const) {
      const { status, json } = await ask(method, route, superAdmin.key, body);
      expect([status, Object.keys(json['errors'] as object)]).toEqual([422, fields]);
    }
  });
});

describe('dictionary', () => {
  test('per key, whole, cleared', async () => {
    const person = await newAccount('own.example.org');
    const route = `/accounts/${person.id}/dictionary`;
    expect(await ask('GET', route, admin.key)).toMatchObject({ status: 200, text: '{}' });
    expect(await ask('POST', `${route}/a%2Fb%20c`, admin.key, { value: ' one ' })).toMatchObject({ status: 201, json: { value: 'one' } });
    expect(await ask('POST', `${route}/a%2Fb%20c`, admin.key, { value: 'two' })).toMatchObject({ status: 201, json: { value: 'two' } });
    expect(await ask('GET', `${route}/a%2Fb%20c`, admin.key)).toMatchObject({ status: 200, json: { value: 'two' } });
    expect(await statusOf('GET', `${route}/absent`, admin.key)).toBe(404);
    expect(await statusOf('GET', `${route}/nul%00`, admin.key)).toBe(404);
    expect(await ask('GET', route, admin.key)).toMatchObject({ json: { 'a/b c': 'two' } });
    for (const [method, path, body] of [
      ['GET', route, undefined],
      ['GET', `${route}/a%2Fb%20c`, undefined],
      ['POST', `${route}/k`, { value: 'v' }],
      ['DELETE', `${route}/a%2Fb%20c`, undefined],
    ] as const)
      expect([method, await statusOf(method, path, otherAdmin.key, body)]).toEqual([method, 404]);
    expect(await statusOf('DELETE', `${route}/a%2Fb%20c`, admin.key)).toBe(200);
    expect(await statusOf('DELETE', `${route}/a%2Fb%20c`, admin.key)).toBe(404);

    // PUT of the account replaces all of it, or leaves it alone.
    const put = (dictionary: unknown): Promise<Answer> =>
      ask('PUT', `/accounts/${person.id}`, admin.key, {
        username: person.sip.split('@')[0],
        password: 'secret-enough',
        algorithm: 'MD5',
        ...(dictionary === undefined ? {} : { dictionary }),
      });
    expect((await put({ x: '1', y: '2' })).json['dictionary']).toEqual({ x: '1', y: '2' });
    expect((await put({ y: '3' })).json['dictionary']).toEqual({ y: '3' });
    expect((await put(undefined)).json['dictionary']).toEqual({ y: '3' });
    expect((await put([])).json['dictionary']).toEqual({});
    expect((await put({ x: 1 })).json['errors']).toHaveProperty('dictionary');
  });

  test.each([
    ['k', {}, 'value'],
    ['k', { value: 5 }, 'value'],
    ['k', { value: 'v'.repeat(256) }, 'value'],
    ['k', { value: 'a\u0000b' }, 'value'],
    ['k'.repeat(256), { value: 'v' }, 'key'],
    ['k%00', { value: 'v' }, 'key'],
  ])('key %s with %j is refused by its field', async (key, body, field) => {
    const { status, json } = await ask('POST', `/accounts/${superAdmin.id}/dictionary/${key}`, superAdmin.key, body);
    expect([status, Object.keys(json['errors'] as object)]).toEqual([422, [field]]);
  });
});

describe('as text', () => {
  const text = (route: string, key: string): Promise<Response> =>
    fetch(`${system.url}${route}`, { headers: { cookie: `x-api-key=${key}` } });

  test('contacts as vCards, to the letter', async () => {
    const [person, plain, full] = [await newAccount(), await newAccount(), await newAccount()];
    await system.rows("UPDATE accounts SET dtmf_protocol = 'sipinfo', display_name = 'Jekyll, Dr; Hyde\\\n' WHERE id = $1", [full.id]);
    await ask('POST', `/accounts/${full.id}/actions`, superAdmin.key, { key: 'action_key', code: '123' });
    await ask('POST', `/accounts/${full.id}/actions`, superAdmin.key, { key: 'other', code: '4' });
    const type = await ask('POST', '/account_types', superAdmin.key, { key: 'phone' });
    await ask('POST', `/accounts/${full.id}/types/${String(type.json['id'])}`, superAdmin.key);
    expect(await (await text('/contacts/vcard', person.key)).text()).toBe('');
    for (const { id } of [plain, full]) await ask('POST', `/accounts/${person.id}/contacts/${id}`, superAdmin.key);
    const cards = [
      `BEGIN:VCARD\nVERSION:4.0\nKIND:individual\nIMPP:sip:${plain.sip}\nFN:${plain.sip}\nEND:VCARD`,
      `BEGIN:VCARD\nVERSION:4.0\nKIND:individual\nIMPP:sip:${full.sip}\nFN:Jekyll\\, Dr\\; Hyde\\\\\\n\n` +
        'X-LINPHONE-ACCOUNT-DTMF-PROTOCOL:sipinfo\nX-LINPHONE-ACCOUNT-TYPE:phone\n' +
        'X-LINPHONE-ACCOUNT-ACTION:action_key;123\nX-LINPHONE-ACCOUNT-ACTION:other;4\nEND:VCARD',
    ];
    const all = await text('/contacts/vcard', person.key);
    expect(all.headers.get('content-type')).toBe('text/vcard; charset=utf-8');
    expect(await all.text()).toBe(cards.join('\n'));
    expect(await (await text(`/contacts/vcard/${full.sip}`, person.key)).text()).toBe(cards[1]);
    expect((await text(`/contacts/vcard/${person.sip}`, person.key)).status).toBe(404);
  });

  test('names of any characters, however long, mean the same in vCards', async () => {
    const person = await newAccount();
    for (const name of ['a,b;c\\d\r\ne: "f"', `${'Été, '.repeat(40)}fin`, '漢'.repeat(80), ` ${'a b'.repeat(60)}`, '\\n', 'x'.repeat(72)]) {
      const contact = await newAccount();
      await system.rows('UPDATE accounts SET display_name = $1 WHERE id = $2', [name, contact.id]);
      await ask('POST', `/accounts/${person.id}/contacts/${contact.id}`, superAdmin.key);
      const card = await (await text(`/contacts/vcard/${contact.sip}`, person.key)).text();
      expect(readMeaning(card).find((property) => property.name === 'FN')?.value).toBe(name.replace('\r\n', '\n'));
      expect(Math.max(...card.split('\n').map((line) => Buffer.byteLength(line)))).toBeLessThanOrEqual(75);
    }
  });

  test('nobody, the blocked and expired Spaces are refused; the use of a key is counted', async () => {
    await system.space('gone.example.org', { expireAt: new Date(Date.now() - 1000) });
    const blocked = await system.account('blocked-reader', { blocked: true });
    const expired = await system.account('expired-reader', { domain: 'gone.example.org' });
    for (const route of ['/contacts/vcard', `/contacts/vcard/a@${SPACE}`, '/vcards-storage', '/vcards-storage/x']) {
      expect((await fetch(`${system.url}${route}`)).status).toBe(401);
      expect((await text(route, blocked.key)).status).toBe(403);
      expect((await text(route, expired.key)).status).toBe(403);
    }
    const reader = await system.account('counted-reader');
    await text('/contacts/vcard', reader.key);
    await eventually(
      () => system.rows('SELECT requests FROM api_keys WHERE account_id = $1', [reader.id]),
      (rows) => rows[0]?.['requests'] === 1,
    );
  });
});
