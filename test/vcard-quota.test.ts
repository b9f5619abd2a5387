// How many vCards an account may store, and how large they may be together: exact, whoever writes them, and at any number at once.
import { startSystem, type Account, type Answer, type System } from './helpers/system';

const MAX_CARDS = 5;
const MAX_BYTES = 4096;
const NOTE_BYTES = 900;

let system: System;
let user: Account;
beforeAll(async () => {
  system = await startSystem({
    webs: 2,
    workers: 0,
    environment: { VCARDS_PER_ACCOUNT: String(MAX_CARDS), VCARD_BYTES_PER_ACCOUNT: String(MAX_BYTES) },
  });
});
afterAll(() => system.stop());
beforeEach(async () => {
  user = await system.account(`quota-${Math.random()}`);
});

const card = (uid: string, note = ''): string =>
  ['BEGIN:VCARD', 'VERSION:4.0', 'FN:A', `UID:${uid}`, `NOTE:${note}`, 'END:VCARD'].join('\r\n');
const write = (method: string, route: string, vcard: string, key = user.key): Promise<Answer> =>
  system.api(`/accounts/me/vcards-storage${route}`, { method, key, body: { vcard } });
const store = (uid: string, note?: string): Promise<Answer> => write('POST', '', card(uid, note));
const counted = (id = user.id): Promise<unknown> =>
  system.rows('SELECT cards, bytes::integer AS bytes FROM vcard_usages WHERE account_id = $1 AND cards > 0', [id]);
const there = (id = user.id): Promise<unknown> =>
  system.rows(
    'SELECT count(*)::integer AS cards, sum(octet_length(vcard))::integer AS bytes FROM vcards_storage WHERE account_id = $1 HAVING count(*) > 0',
    [id],
  );

test('of many at once as many are stored as there is room for; what is deleted makes room', async () => {
  const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => store(`card-${n}`)));
  const stored = answers.flatMap(({ status }, n) => (status === 201 ? [n] : []));
  expect(stored).toHaveLength(MAX_CARDS);
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201, 403]));
  const refused = await store('one-more');
  expect([refused.status, refused.json]).toEqual([
    403,
    {
      message: 'The account must not have more than 5 vCards.',
      errors: { vcard: ['The account must not have more than 5 vCards.'] },
    },
  ]);
  expect((await store(`card-${stored[0]}`)).status).toBe(409);
  expect((await write('PUT', `/card-${stored[0]}`, card(`card-${stored[0]}`, 'another'))).status).toBe(200);
  expect((await system.api(`/accounts/me/vcards-storage/card-${stored[0]}`, { method: 'DELETE', key: user.key })).status).toBe(200);
  const again = await Promise.all([store('again-1'), store('again-2')]);
  expect(again.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 403]);
  expect(await counted()).toEqual(await there());
});

test('the bytes of all cards together count, of new ones and of those that grow', async () => {
  const note = 'é'.repeat(NOTE_BYTES / 2);
  const answers = await Promise.all(Array.from({ length: 5 }, (_, n) => store(`large-${n}`, note)));
  expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 201, 201, 201, 403]);
  const [one, other] = answers.flatMap(({ status }, n) => (status === 201 ? [`large-${n}`] : []));
  const grown = await Promise.all([one, other].map((uid) => write('PUT', `/${uid}`, card(uid ?? '', note + 'x'.repeat(100)))));
  expect(grown.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 403]);
  expect(grown.find(({ status }) => status === 403)?.json).toMatchObject({
    errors: { vcard: ['The vCards of the account must not be larger than 4 KiB together.'] },
  });
  expect((await write('PUT', `/${one}`, card(one ?? '', 'small'))).status).toBe(200);
  expect((await store('small')).status).toBe(201);
  expect((await write('PUT', '/nowhere', card('nowhere', note))).status).toBe(404);
  expect(await counted()).toEqual(await there());
});

test('who has more than the quota, since it was lowered, may still make cards smaller', async () => {
  await system.rows(
    "INSERT INTO vcards_storage (account_id, uuid, vcard, created_at) SELECT $1, 'old-' || n, repeat('x', 2000), now() FROM generate_series(1, 8) n",
    [user.id],
  );
  expect((await store('new')).status).toBe(403);
  expect((await write('PUT', '/old-1', card('old-1', 'x'.repeat(1000)))).status).toBe(200);
  expect((await write('PUT', '/old-2', card('old-2', 'x'.repeat(3000)))).status).toBe(403);
});

test('whoever writes cards is counted, and other accounts are not', async () => {
  const other = await system.account(`other-${Math.random()}`);
  for (const sql of [
    "INSERT INTO vcards_storage (account_id, uuid, vcard) SELECT a, 'n' || n, repeat('é', n) FROM unnest(ARRAY[$1, $2]::int[]) a, generate_series(1, 9) n",
    "UPDATE vcards_storage SET vcard = vcard || 'more' WHERE account_id = $1 AND uuid > 'n4' AND $2 > 0",
    "UPDATE vcards_storage SET account_id = $2, uuid = uuid || 'moved' WHERE account_id = $1 AND uuid < 'n3'",
    "DELETE FROM vcards_storage WHERE account_id IN ($1, $2) AND uuid LIKE '%7'",
    'DELETE FROM vcards_storage WHERE account_id = $1 AND $2 > 0',
  ]) {
    await system.rows(sql, [user.id, other.id]);
    for (const id of [user.id, other.id]) expect([sql, await counted(id)]).toEqual([sql, await there(id)]);
  }
  await system.rows('DELETE FROM accounts WHERE id = $1', [other.id]);
  expect(await system.rows('SELECT 1 FROM vcard_usages WHERE account_id = $1', [other.id])).toEqual([]);
});

test('0 is no limit', async () => {
  await system.startWeb({ VCARDS_PER_ACCOUNT: '0', VCARD_BYTES_PER_ACCOUNT: '0' });
  const url = system.urls.at(-1) ?? '';
  for (let n = 0; n <= MAX_CARDS; n += 1) {
    const answer = await fetch(`${url}/api/accounts/me/vcards-storage`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-api-key': user.key },
      body: JSON.stringify({ vcard: card(`card-${n}`, 'x'.repeat(NOTE_BYTES)) }),
    });
    expect(answer.status).toBe(201);
  }
});
