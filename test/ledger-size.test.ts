// The ledger of a day of 100,000 sends: what is asked of it is found by indexes, and ends are written in place.
import { loadModels, type Models } from './helpers/models';
import { SPACE, startSystem, type System } from './helpers/system';

const SENDS = 100_000;
/** The promise for a search; by the machine's own time, which others use as well. */
const SEARCH_MS = 50;

let system: System;
let models: Models['models'];
let close: Models['close'];
beforeAll(async () => {
  system = await startSystem({ webs: 0, workers: 0 });
  ({ models, close } = await loadModels(system));
  await system.rows(
    `INSERT INTO sends (channel, kind, domain, recipient_mask, recipient_hash, provider, target, state, outcome, reason, queued_ms, provider_ms, next_at, ended_at,
                        created_at)
     SELECT 'push', 'creation_token', CASE n % 10 WHEN 0 THEN 'other.org' ELSE '${SPACE}' END, 'a•••b', md5((n % 30000)::text), 'fcm', 'project',
            CASE WHEN n % 33 = 0 THEN 'failed' ELSE 'sent' END, CASE WHEN n % 33 = 0 THEN 'refused' ELSE 'sent' END,
            CASE WHEN n % 33 = 0 THEN 'provider_refused' END, n % 100, n % 300, NULL, now(), now() - interval '5 minutes' - n * interval '864 milliseconds'
       FROM generate_series(1, $1::integer) n`,
    [SENDS],
  );
  await system.rows('VACUUM ANALYZE sends');
}, 60_000);
afterAll(async () => {
  await close();
  await system.stop();
});

const planOf = async (sql: string, values: unknown[] = []): Promise<{ text: string; ms: number }> => {
  const lines = (await system.rows<Record<string, string>>(`EXPLAIN (ANALYZE, BUFFERS) ${sql}`, values)).map(
    (row) => row['QUERY PLAN'] ?? '',
  );
  return { text: lines.join('\n'), ms: Number(/Execution Time: ([\d.]+)/.exec(lines.join('\n'))?.[1]) };
};

/** Partitions that have rows. */
const monthsWithRows = async (): Promise<string[]> =>
  (await system.rows<{ name: string }>('SELECT DISTINCT tableoid::regclass::text AS name FROM sends')).map(({ name }) => name);

test.each([
  ['the sends of a recipient', 'recipient_hash = md5($1) ORDER BY created_at DESC, id DESC LIMIT 50', ['7']],
  ['the newest of a Space', 'domain = $1 ORDER BY created_at DESC, id DESC LIMIT 50', [SPACE]],
  [
    'a later page of them',
    'domain = $1 AND created_at < now() - $2::interval ORDER BY created_at DESC, id DESC LIMIT 50',
    [SPACE, '12 hours'],
  ],
  ['the newest of all', 'true ORDER BY created_at DESC, id DESC LIMIT 50', []],
  ['the newest failures', "state = 'failed' ORDER BY created_at DESC, id DESC LIMIT 50", []],
  ['those of an account', 'account_id = $1 ORDER BY created_at DESC, id DESC LIMIT 50', [1]],
  ['one row', 'id = $1', [500]],
  ['what is due', "state = 'due' AND next_at < now()", []],
])('%s: by index, at once', async (_what, where, values) => {
  const { text, ms } = await planOf(`SELECT * FROM sends WHERE ${where}`, values);
  // Of months without rows there is nothing to look for by index.
  for (const name of await monthsWithRows()) expect(text).not.toContain(`Seq Scan on ${name}`);
  expect(ms).toBeLessThan(SEARCH_MS);
});

test('the end of a send changes no index, whatever its provider has said', async () => {
  const stats = async (): Promise<{ updated: number; hot: number }> => {
    const [row] = await system.rows<{ updated: number; hot: number }>(
      `SELECT sum(pg_stat_get_xact_tuples_updated(relid))::integer AS updated, sum(pg_stat_get_tuples_hot_updated(relid))::integer AS hot
         FROM (SELECT inhrelid AS relid FROM pg_inherits WHERE inhparent = 'sends'::regclass) AS parts`,
    );
    return row ?? { updated: 0, hot: 0 };
  };
  const made = await models.Send.record(
    Array.from({ length: 200 }, (_, n) => ({
      channel: 'push' as const,
      kind: 'notification' as const,
      state: 'sending' as const,
      account_id: null,
      domain: SPACE,
      subject_id: null,
      recipient_mask: 'mask',
      recipient_hash: `hash-${n}`,
      country: null,
      phone_prefix: null,
      provider: 'fcm',
      target: 'project',
      queued_ms: 1,
      request_id: 'request',
    })),
  );
  expect(made).toHaveLength(200);
  const before = await stats();
  const end = {
    state: 'sent' as const,
    outcome: 'sent',
    reason: null,
    last_reason: null,
    provider_code: '200',
    provider_id: 'an-id-of-the-provider',
    provider_ms: 12,
    attempts: 1,
  };
  // A few at a time, as they come.
  for (let from = 0; from < 200; from += 4)
    expect((await models.Send.finish(made.slice(from, from + 4).map((id) => ({ ...end, id })))).size).toBe(4);
  const after = await (async () => {
    for (let n = 0; n < 50; n += 1) {
      const now = await stats();
      if (now.hot - before.hot >= 180) return now;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    return stats();
  })();
  // The rest found its page full.
  expect(after.hot - before.hot).toBeGreaterThanOrEqual(150);
});

test('what was never ended is found by looking at each row once', async () => {
  const { Send } = models;
  await system.rows("UPDATE sends SET state = 'sending', outcome = NULL, ended_at = NULL WHERE id % 1000 = 0");
  let [closed, looks, rest] = [0, 0, false];
  for (let after: string | number = 7 * 24 * 3600; !rest; looks += 1) {
    const { ended, last, isAll } = await Send.endAbandoned(after, 180);
    [closed, after, rest] = [closed + ended, last, isAll];
  }
  expect(closed).toBe(SENDS / 1000);
  expect(looks).toBeLessThanOrEqual(SENDS / 10_000 + 1);
  expect(await system.rows("SELECT 1 FROM sends WHERE state = 'sending'")).toEqual([]);
});
