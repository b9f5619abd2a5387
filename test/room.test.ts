// How many accounts a Space may have: exact with several processes at once, and asked at the same cost for any number.
import { loadModels, type Models } from './helpers/models';
import { startSystem, type Account, type System } from './helpers/system';

let system: System;
let admin: Account;
let models: Models['models'];
let close: Models['close'];

beforeAll(async () => {
  system = await startSystem({ webs: 2, workers: 0 });
  admin = await system.account('admin', { admin: true });
  ({ models, close } = await loadModels(system));
});
afterAll(async () => {
  await close();
  await system.stop();
});

const create = async (username: string, domain: string): Promise<number> =>
  (
    await system.api('/accounts', {
      method: 'POST',
      key: admin.key,
      body: { username, domain, password: 'password', algorithm: 'MD5', activated: true },
    })
  ).status;
const inDomain = async (domain: string): Promise<number> =>
  (await system.rows<{ n: number }>('SELECT count(*)::int AS n FROM accounts WHERE domain = $1', [domain]))[0]?.n ?? 0;

test('creations and moves by two processes at once fill a Space and never overfill it, whatever is folded meanwhile', async () => {
  await system.space('small.org', { maxAccounts: 12 });
  await system.space('source.org');
  const movers: Account[] = [];
  for (let n = 0; n < 10; n += 1) movers.push(await system.account(`mover-${n}`, { domain: 'source.org' }));
  const move = async ({ id }: Account, n: number): Promise<number> => {
    const body = { username: `mover-${n}`, domain: 'small.org', password: 'password', algorithm: 'SHA-256' };
    const { status } = await system.api(`/accounts/${id}`, { method: 'PUT', key: admin.key, body });
    return status;
  };
  const folds = Array.from({ length: 8 }, async () => models.AccountCount.fold());
  const statuses = await Promise.all([
    ...Array.from({ length: 20 }, (_, n) => create(`newcomer-${n}`, 'small.org')),
    ...movers.map((mover, n) => move(mover, n)),
  ]);
  await Promise.all(folds);
  expect(await inDomain('small.org')).toBe(12);
  expect(statuses.toSorted((a, b) => a - b)).toEqual([...Array.from({ length: 12 }, () => 200), ...Array.from({ length: 18 }, () => 403)]);
  // One that leaves makes room for one.
  const [left] = await system.rows<{ id: number }>("SELECT id FROM accounts WHERE domain = 'small.org' LIMIT 1");
  expect((await system.api(`/accounts/${left?.id}`, { method: 'DELETE', key: admin.key })).status).toBe(200);
  expect((await Promise.all([create('late-1', 'small.org'), create('late-2', 'small.org')])).toSorted((a, b) => a - b)).toEqual([200, 403]);
  expect(await inDomain('small.org')).toBe(12);
});

test('what is asked is the total, not the accounts; it is right after any changes, also where no worker folds them', async () => {
  const { AccountCount } = models;
  await system.space('large.org', { maxAccounts: 50_000 });
  const add = (from: number, to: number): Promise<unknown> =>
    system.rows(
      `INSERT INTO accounts (username, domain, ip_address, user_agent, created_at) SELECT 'l' || n, 'large.org', '::1', 'test', now() FROM generate_series($1::int, $2::int) n`,
      [from, to],
    );
  await add(1, 40_000);
  expect(await AccountCount.ofDomain('large.org')).toBe(40_000);
  await AccountCount.fold();
  expect(await AccountCount.ofDomain('large.org')).toBe(40_000);
  await system.rows("DELETE FROM accounts WHERE domain = 'large.org' AND username < 'l2'");
  await add(50_001, 50_020);
  const rest = await inDomain('large.org');
  expect(await AccountCount.ofDomain('large.org')).toBe(rest);
  // A worker of the release before folds into the blocks alone; the total follows.
  await system.rows(
    `WITH taken AS (DELETE FROM account_count_changes RETURNING domain, block, accounts), sums AS (
       SELECT domain, block, sum(accounts)::integer AS accounts FROM taken GROUP BY domain, block ORDER BY domain, block)
     INSERT INTO account_counts AS c (domain, block, accounts) SELECT domain, block, accounts FROM sums
     ON CONFLICT (domain, block) DO UPDATE SET accounts = c.accounts + excluded.accounts`,
  );
  await system.rows('DELETE FROM account_counts WHERE accounts = 0');
  expect(await AccountCount.ofDomain('large.org')).toBe(rest);
  expect(await system.rows("SELECT accounts::int AS n FROM account_totals WHERE domain = 'large.org'")).toEqual([{ n: rest }]);
  // Accounts are not looked at: a total that is not theirs is believed.
  await system.rows("UPDATE account_totals SET accounts = 50000 WHERE domain = 'large.org'");
  expect(await create('one-more', 'large.org')).toBe(403);
  await system.rows("UPDATE account_totals SET accounts = $1 WHERE domain = 'large.org'", [rest]);
  expect(await create('one-more', 'large.org')).toBeLessThan(300);

  for (let n = 0; n < 1100; n += 1)
    await system.rows("INSERT INTO account_count_changes (domain, block, accounts) VALUES ('large.org', 0, 0)");
  await AccountCount.ofDomain('large.org');
  expect(await system.rows("SELECT 1 FROM account_count_changes WHERE domain = 'large.org'")).toEqual([]);
  expect(await AccountCount.ofDomain('large.org')).toBe(rest + 1);
});
