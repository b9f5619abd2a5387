// What nobody waits for is sent at last, once, whatever is down meanwhile: its row stands with what it is about.
import { randomUUID } from 'node:crypto';
import { openQueue } from './helpers/jobs';
import { startOutsideWorld, type OutsideWorld } from './helpers/outside';
import { eventually, SPACE, startSystem, type Answer, type System } from './helpers/system';

let world: OutsideWorld;
let system: System;
const environment = { MAIL_ALLOW_SELF_SIGNED: 'true', APP_DANGEROUS_ENDPOINTS: 'true', SMS_TIMEOUT_SECONDS: '3' };
beforeAll(async () => {
  world = await startOutsideWorld();
  system = await startSystem({ webs: 1, workers: 1, environment: { ...world.environment, ...environment } });
  await system.rows("UPDATE phone_countries SET activated = true WHERE code = 'FR'");
});
afterAll(async () => {
  await system.stop();
  await world.close();
});
beforeEach(() => {
  world.twilio.reset();
  world.smtp.mode = 'accept';
  world.mails.length = 0;
});

let serial = 0;
const unique = (): string => `s${Date.now().toString(36)}${(serial += 1)}`;
async function token(): Promise<string> {
  const text = randomUUID().slice(0, 13);
  await system.rows('INSERT INTO account_creation_tokens (token, created_at) VALUES ($1, now())', [text]);
  return text;
}
const create = async (body: object, url = system.url): Promise<Answer> => {
  const response = await fetch(`${url}/api/accounts/public`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ password: 'password', algorithm: 'MD5', account_creation_token: await token(), ...body }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: JSON.parse(text) as Record<string, unknown> };
};
interface Row {
  id: number;
  state: string;
  attempts: number;
  last_reason: string | null;
  wait: number;
}
const rowOf = async (account: unknown): Promise<Row> => {
  const [row] = await system.rows<Row>(
    `SELECT id::int, state, attempts, last_reason, extract(epoch FROM next_at - now())::float AS wait FROM sends WHERE account_id = $1 ORDER BY id DESC LIMIT 1`,
    [account],
  );
  return row as Row;
};
const until = (account: unknown, state: string, attempts?: number): Promise<Row> =>
  eventually(
    () => rowOf(account),
    (row) => row?.state === state && (attempts === undefined || row.attempts === attempts),
    30,
  );
const hurry = (account: unknown): Promise<unknown> =>
  system.rows("UPDATE sends SET next_at = now() - interval '3 seconds' WHERE account_id = $1 AND state = 'due'", [account]);
const mailsTo = (email: string): number => world.mails.filter(({ to }) => to.includes(email)).length;

test('a mail that the server cannot take now is sent later, once; with back-off', async () => {
  const email = `${unique()}@example.org`;
  world.smtp.mode = 'busy';
  const { json } = await create({ username: unique(), email });
  const first = await until(json['id'], 'due', 1);
  expect(first.last_reason).toBe('SMTP 451');
  expect(first.wait).toBeGreaterThan(40);
  expect(first.wait).toBeLessThan(61);
  await hurry(json['id']);
  const second = await until(json['id'], 'due', 2);
  expect(second.wait).toBeGreaterThan(90);
  world.smtp.mode = 'accept';
  await hurry(json['id']);
  await until(json['id'], 'sent', 3);
  expect(mailsTo(email)).toBe(1);
});

test('a refusal is final', async () => {
  world.smtp.mode = 'reject';
  const { json } = await create({ username: unique(), email: `${unique()}@example.org` });
  expect((await until(json['id'], 'failed')).last_reason).toBe('SMTP 550');
});

test('what may have arrived is never sent again', async () => {
  world.twilio.mode = 'drop';
  const { json } = await create({ username: unique(), phone: '+33612990001' });
  await until(json['id'], 'unknown');
  expect(world.twilio.received).toHaveLength(1);
});

test('the pause that a provider asks for sets the next attempt, and is no attempt before', async () => {
  world.twilio.mode = { status: 429, body: '{}', headers: { 'retry-after': '7200' } };
  const { json } = await create({ username: unique(), phone: '+33612990002' });
  expect((await until(json['id'], 'due', 1)).wait).toBeGreaterThan(7100);
  expect(world.twilio.received).toHaveLength(1);
});

test('while the breaker is open it waits, and is no attempt', async () => {
  const other = await system.startWorker();
  try {
    world.twilio.mode = { status: 503, body: '{}', headers: { 'retry-after': '7200' } };
    // Five people at least for each of two workers.
    const made = await Promise.all(Array.from({ length: 40 }, (_, n) => create({ username: unique(), phone: `+336129901${10 + n}` })));
    await Promise.all(
      made.map(({ json }) =>
        eventually(
          () => rowOf(json['id']),
          (row) => row.state === 'due' && row.last_reason !== null,
        ),
      ),
    );
    const { json } = await create({ username: unique(), phone: '+33612990003' });
    const held = await eventually(
      () => rowOf(json['id']),
      (row) => row.last_reason !== null,
    );
    expect([held.state, held.attempts, held.last_reason]).toEqual(['due', 0, 'the provider keeps failing']);
    expect(held.wait).toBeLessThan(16);
    world.twilio.mode = 'accept';
    await until(json['id'], 'sent');
  } finally {
    system.workers.splice(system.workers.indexOf(other), 1);
    await other.end();
  }
}, 60_000);

describe('nothing is sent any more once', () => {
  const due = async (): Promise<{ id: unknown; email: string }> => {
    const email = `${unique()}@example.org`;
    world.smtp.mode = 'busy';
    const { json } = await create({ username: unique(), email });
    await until(json['id'], 'due', 1);
    world.smtp.mode = 'accept';
    return { id: json['id'], email };
  };
  test.each([
    ['the key was used', 'UPDATE accounts SET confirmation_key = NULL, activated = true WHERE id = $1', 'the key was used or changed'],
    ['the key is another one', "UPDATE accounts SET confirmation_key = '1234' WHERE id = $1", 'the key was used or changed'],
    ['the address is another one', "UPDATE accounts SET email = 'other@example.org' WHERE id = $1", 'the account has another address'],
    ['the account is blocked', 'UPDATE accounts SET blocked = true WHERE id = $1', 'the account may not act'],
  ])('%s', async (_what, sql, reason) => {
    const { id, email } = await due();
    await system.rows(sql, [id]);
    await hurry(id);
    expect((await until(id, 'failed')).last_reason).toBe(reason);
    expect(mailsTo(email)).toBe(0);
  });

  test('the account was deleted', async () => {
    const { id, email } = await due();
    await system.rows('DELETE FROM accounts WHERE id = $1', [id]);
    await hurry(id);
    // Once what the account had is removed.
    await eventually(
      () => rowOf(id),
      (row) => row === undefined,
      30,
    );
    expect(mailsTo(email)).toBe(0);
  });

  test('a day has passed', async () => {
    const { id, email } = await due();
    await system.rows(
      "UPDATE sends SET expires_at = now() - interval '1 second', next_at = now() - interval '5 seconds' WHERE account_id = $1",
      [id],
    );
    await until(id, 'failed');
    expect(mailsTo(email)).toBe(0);
  });
});

test('a row without a job gets one; one whose worker said nothing is unknown, and nobody sends it', async () => {
  const { id } = await system.account(unique());
  const insert = (state: string, lease: string): Promise<unknown> =>
    system.rows(
      `INSERT INTO sends (channel, kind, account_id, recipient, state, next_at, expires_at, lease_until, created_at)
       VALUES ('email', 'account_ready', $1, $2, $3, now() - interval '1 minute', now() + interval '1 hour', ${lease}, now())`,
      [id, `${id}@example.org`, state],
    );
  await system.rows('UPDATE accounts SET email = $2 WHERE id = $1', [id, `${id}@example.org`]);
  await insert('sending', "now() - interval '1 second'");
  await until(id, 'unknown');
  expect(mailsTo(`${id}@example.org`)).toBe(0);
  await insert('due', 'NULL');
  await until(id, 'sent');
  expect(mailsTo(`${id}@example.org`)).toBe(1);
});

test('two jobs for one row at once: sent once', async () => {
  const { id } = await system.account(unique());
  await system.rows('UPDATE accounts SET email = $2 WHERE id = $1', [id, `${id}@example.org`]);
  const [row] = await system.rows<{ id: number }>(
    `INSERT INTO sends (channel, kind, account_id, recipient, expires_at, created_at)
     VALUES ('email', 'account_ready', $1, $2, now() + interval '1 hour', now()) RETURNING id::int`,
    [id, `${id}@example.org`],
  );
  const queue = openQueue(system, 'email');
  // All have begun before one of them has taken the row: the account, which is read between the two, is locked.
  const holder = await system.db.connect();
  await holder.query('BEGIN; LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE');
  await queue.addBulk(Array.from({ length: 5 }, () => ({ name: 'send', data: { payload: { kind: 'send', id: row?.id } } })));
  await eventually(
    () => queue.getJobCounts('waiting'),
    ({ waiting }) => waiting === 0,
  );
  await new Promise((resolve) => setTimeout(resolve, 500));
  await holder.query('COMMIT');
  holder.release();
  await until(id, 'sent', 1);
  await eventually(
    () => queue.getJobCounts('waiting', 'active'),
    ({ waiting, active }) => waiting === 0 && active === 0,
  );
  expect(mailsTo(`${id}@example.org`)).toBe(1);
  await queue.close();
});

test('the first password: its mail is due with it', async () => {
  const { id, key } = await system.account(unique());
  const email = `${unique()}@example.org`;
  await system.rows('UPDATE accounts SET email = $2 WHERE id = $1', [id, email]);
  world.smtp.mode = 'busy';
  const body = { algorithm: 'MD5', password: 'password' };
  expect((await system.api('/accounts/me/password', { method: 'POST', key, body })).status).toBe(200);
  await until(id, 'due', 1);
  world.smtp.mode = 'accept';
  await hurry(id);
  await until(id, 'sent', 2);
  expect(mailsTo(email)).toBe(1);
  // Not of a second one.
  await system.api('/accounts/me/password', { method: 'POST', key, body: { ...body, old_password: 'password' } });
  expect(await system.rows('SELECT 1 FROM sends WHERE account_id = $1', [id])).toHaveLength(1);
});

test('a web that cannot reach Redis makes the account all the same, and its mail is sent once a worker finds it', async () => {
  const web = await system.startWeb({ REDIS_URL: 'redis://127.0.0.1:1' });
  const email = `${unique()}@example.org`;
  const { status, json } = await create({ username: unique(), email }, system.urls.pop());
  system.webs.pop();
  expect(status).toBe(200);
  await until(json['id'], 'sent');
  expect(mailsTo(email)).toBe(1);
  await web.end('SIGKILL');
});

describe('recovery by phone: what was good before stays good until the new code was sent', () => {
  const phoneOf = (): string => `+3361288${String((serial += 1)).padStart(4, '0')}`;
  const owner = async (key: string): Promise<{ id: number; name: string; phone: string }> => {
    const name = unique();
    const { id } = await system.account(name);
    const phone = phoneOf();
    await system.rows(
      'UPDATE accounts SET phone = $2, confirmation_key = $3, confirmation_key_attempts = 0, activated = false WHERE id = $1',
      [id, phone, key],
    );
    return { id, name, phone };
  };
  const recover = async (phone: string): Promise<number> =>
    (await system.api('/accounts/recover-by-phone', { method: 'POST', body: { phone, account_creation_token: await token() } })).status;
  const redeem = async (name: string, key: string): Promise<number> =>
    (await system.api(`/accounts/${name}@${SPACE}/recover/${key}`)).status;
  const code = (phone: string): string =>
    world.twilio.received
      .map(({ body }) => body as { To: string; Body: string })
      .findLast(({ To }) => To === phone)
      ?.Body.slice(0, 4) ?? '';

  test('refused by the provider: the activation key is good', async () => {
    const { name, phone } = await owner('activationkey');
    world.twilio.mode = 400;
    expect(await recover(phone)).toBe(503);
    const refused = code(phone);
    expect(await redeem(name, refused)).toBe(404);
    expect(await redeem(name, 'activationkey')).toBe(200);
  });

  test('nobody knows: the code that may have arrived is good, as a change code is', async () => {
    const { name, phone } = await owner('activationkey');
    world.twilio.mode = 'drop';
    expect(await recover(phone)).toBe(503);
    expect(await redeem(name, code(phone))).toBe(200);
  });

  test('sent: the new code alone, with the account as it was', async () => {
    const { name, phone } = await owner('activationkey');
    expect(await recover(phone)).toBe(200);
    expect(await redeem(name, 'activationkey')).toBe(404);
    expect(await redeem(name, code(phone))).toBe(200);
    expect(await redeem(name, code(phone))).toBe(404);
  });

  test('no worker, again and again: the key is good', async () => {
    const worker = system.workers.pop();
    await worker?.end('SIGKILL');
    const { name, phone } = await owner('activationkey');
    expect([await recover(phone), await recover(phone)]).toEqual([503, 503]);
    expect(await redeem(name, 'activationkey')).toBe(200);
    await system.startWorker();
    expect(code(phone)).toBe('');
  });

  test('its worker dies with the answer lost: both are good, each for five wrong ones, and one ends the other', async () => {
    const worker = system.workers.pop();
    const both = async (): Promise<{ id: number; name: string; sent: string }> => {
      const { id, name, phone } = await owner('1111');
      await system.rows(
        `INSERT INTO sends (channel, kind, account_id, recipient, code, state, expires_at, created_at)
         VALUES ('sms', 'account_recovery', $1, $2, '2222', 'unknown', now(), now())`,
        [id, phone],
      );
      return { id, name, sent: '2222' };
    };
    for (const right of ['1111', '2222']) {
      const { name } = await both();
      expect(await redeem(name, right)).toBe(200);
      expect([await redeem(name, '1111'), await redeem(name, '2222')]).toEqual([404, 404]);
    }
    const { id, name } = await both();
    await system.rows('UPDATE accounts SET confirmation_key_attempts = 3 WHERE id = $1', [id]);
    for (let n = 0; n < 2; n += 1) expect(await redeem(name, '3333')).toBe(404);
    // The older is void after its fifth.
    expect(await redeem(name, '1111')).toBe(404);
    expect(await redeem(name, '2222')).toBe(200);
    const again = await both();
    for (let n = 0; n < 5; n += 1) expect(await redeem(again.name, '3333')).toBe(404);
    expect([await redeem(again.name, '1111'), await redeem(again.name, '2222')]).toEqual([404, 404]);
    if (worker) system.workers.push(worker);
  });

  test('one that no worker has taken yet cannot be redeemed', async () => {
    const { id, name, phone } = await owner('activationkey');
    await system.rows(
      `INSERT INTO sends (channel, kind, account_id, recipient, code, state, expires_at, created_at)
       VALUES ('sms', 'account_recovery', $1, $2, '2222', 'due', now() + interval '1 minute', now())`,
      [id, phone],
    );
    expect(await redeem(name, '2222')).toBe(404);
    expect(await redeem(name, 'activationkey')).toBe(200);
  });
});
