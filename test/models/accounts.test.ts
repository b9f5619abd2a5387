// What hangs on the models of accounts: whom their own statements show anything to, and what they store of what clients send.
import { loadModels, type Models } from '../helpers/models';
import { SPACE, startSystem, type System } from '../helpers/system';

const OTHER = 'other.example.org';
const ADMIN = { domain: OTHER, super_admin: false };

let system: System;
let models: Models['models'];
let visibility: Models['visibility'];
let views: typeof import('../../src/models/accounts/account-view');
let close: Models['close'];
let own: number;
let others: number;

beforeAll(async () => {
  system = await startSystem({ webs: 0, workers: 0 });
  ({ models, visibility, close } = await loadModels(system));
  views = await import('../../src/models/accounts/account-view.js');
  await system.space(OTHER);
  ({ id: own } = await system.account('own', { domain: OTHER }));
  ({ id: others } = await system.account('theirs'));
  await system.rows("UPDATE accounts SET email = username || '@example.org'");
});
afterAll(async () => {
  await close();
  await system.stop();
});

test('views show an admin the accounts of the own Space alone, whatever they are asked by', async () => {
  const { findAccountPage, findAccountView, findAccountViewByEmail, findAccountViewBySipAddress } = views;
  const { SYSTEM } = visibility;
  expect((await findAccountView(own, ADMIN))?.username).toBe('own');
  expect(await findAccountView(others, ADMIN)).toBeNull();
  expect((await findAccountView(others, SYSTEM))?.username).toBe('theirs');
  expect(await findAccountViewBySipAddress({ username: 'theirs', domain: SPACE }, ADMIN)).toBeNull();
  expect((await findAccountViewBySipAddress({ username: 'theirs', domain: SPACE }, SYSTEM))?.id).toBe(others);
  expect(await findAccountViewByEmail('Theirs@example.org', ADMIN)).toBeNull();
  expect((await findAccountViewByEmail('Theirs@example.org', SYSTEM))?.id).toBe(others);
  expect(await findAccountPage(1, ADMIN)).toMatchObject({ total: 1, accounts: [{ id: own }] });
  expect(await findAccountPage(1, SYSTEM)).toMatchObject({ total: 2, accounts: [{ id: own }, { id: others }] });
  expect(await findAccountPage(2, SYSTEM)).toEqual({ total: 2, accounts: [] });
});

/** Ids at both ends of blocks of a thousand and of groups of a hundred blocks, with groups between them that nobody is in. */
const SCATTERED = [1_000_999, 1_001_000, 1_099_999, 1_100_000, 1_100_001, 1_150_500, 1_499_999, 1_500_000, 2_000_000, 2_000_001].flatMap(
  (id) => [id, id + 10_000],
);

test('pages are those of one walk through all accounts by id, wherever ids lie, folded or not, and after deletions', async () => {
  const { AccountCount } = models;
  const { SYSTEM } = visibility;
  const viewers = {
    'pages-a.org': { domain: 'pages-a.org', super_admin: false },
    'pages-b.org': { domain: 'pages-b.org', super_admin: false },
  };
  for (const domain of Object.keys(viewers)) await system.space(domain);
  const add = (offset: number): Promise<unknown> =>
    system.rows(
      `INSERT INTO accounts (id, username, domain, ip_address, user_agent, created_at)
       SELECT id + $2, 'scattered' || id + $2, CASE WHEN n % 3 = 0 THEN 'pages-a.org' ELSE 'pages-b.org' END, 'x', 'x', now()
         FROM unnest($1::integer[]) WITH ORDINALITY u (id, n)`,
      [SCATTERED, offset],
    );
  const expectRightPages = async (): Promise<void> => {
    for (const viewer of [...Object.values(viewers), SYSTEM]) {
      const domain = viewer === SYSTEM ? null : (viewer as { domain: string }).domain;
      const all = await system.rows('SELECT id FROM accounts WHERE $1::text IS NULL OR domain = $1 ORDER BY id', [domain]);
      const ids: number[] = [];
      for (let page = 1; ; page += 1) {
        const { total, accounts } = await views.findAccountPage(page, viewer);
        expect(total).toBe(all.length);
        if (accounts.length === 0) break;
        ids.push(...accounts.map(({ id }) => id));
      }
      expect(ids).toEqual(all.map(({ id }) => id));
    }
    const sums = 'SELECT domain, sum(accounts)::integer AS n FROM %s GROUP BY 1 HAVING sum(accounts) <> 0 ORDER BY 1';
    expect(await system.rows(sums.replace('%s', 'account_count_groups'))).toEqual(await system.rows(sums.replace('%s', 'account_counts')));
  };
  for (const offset of [0, 20, 40]) await add(offset);
  await expectRightPages();
  await AccountCount.fold();
  await expectRightPages();
  await add(60);
  await system.rows('DELETE FROM accounts WHERE id BETWEEN 1100000 AND 1150000 OR id = 1000999');
  await expectRightPages();
  await AccountCount.fold();
  await system.rows("UPDATE accounts SET domain = 'pages-a.org' WHERE id >= 2000000 AND id % 2 = 0");
  await expectRightPages();
  await AccountCount.fold();
  await expectRightPages();
});

test('of a user agent as many characters are kept as the column holds, none of them cut in two', async () => {
  const { Account, ProvisioningToken } = models;
  const user_agent = '𝄞'.repeat(300);
  const account = await Account.create({ username: 'long', domain: OTHER, ip_address: '192.0.2.1', user_agent }, { returning: ['id'] });
  await ProvisioningToken.create({ account_id: account.id, token: 'token', user_agent });
  const [stored] = await system.rows(
    'SELECT a.user_agent AS account, t.user_agent AS token FROM accounts a JOIN provisioning_tokens t ON t.account_id = a.id WHERE a.id = $1',
    [account.id],
  );
  expect(stored).toEqual({ account: '𝄞'.repeat(256), token: '𝄞'.repeat(255) });
});

test('a name or phone finds one account: the one whose name it is, or whose phone, whichever is asked first', async () => {
  const { Account } = models;
  const { SYSTEM, visibleTo } = visibility;
  const make = (username: string, phone: string | null): Promise<{ id: number }> =>
    Account.create({ username, phone, domain: OTHER, ip_address: '192.0.2.1', user_agent: 'test' });
  const named = await make('+33612345678', null);
  const called = await make('phone-owner', '+33612345678');
  const find = (first: 'username' | 'phone'): Promise<{ id: number } | null> =>
    Account.scope([visibleTo(SYSTEM), { method: ['called', '+33612345678', first] }]).findOne({ where: { domain: OTHER } });
  expect((await find('username'))?.id).toBe(named.id);
  expect((await find('phone'))?.id).toBe(called.id);
});

test('a name that a deletion has taken again is renewed, and counts from then on', async () => {
  const { AccountTombstone } = models;
  await AccountTombstone.record({ username: 'gone', domain: OTHER });
  await system.rows("UPDATE accounts_tombstones SET created_at = '2001-01-01', updated_at = '2001-01-01'");
  expect(await AccountTombstone.scope({ method: ['olderThan', 1] }).count()).toBe(1);
  await AccountTombstone.record({ username: 'gone', domain: OTHER });
  expect(await AccountTombstone.count()).toBe(1);
  expect(await AccountTombstone.scope({ method: ['olderThan', 1] }).count()).toBe(0);
  expect(await system.rows("SELECT 1 FROM accounts_tombstones WHERE updated_at < now() - interval '1 day'")).toEqual([]);
});
