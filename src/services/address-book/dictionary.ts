// The dictionary of an account: keys and values that its apps read.
import { execute, select } from '../../infra/sequelize';

const IN_SCOPE = 'a.id = $1 AND ($2::text IS NULL OR a.domain = $2)';

/** null: no such account in the scope. */
export async function findDictionary(accountId: number, scope: string | null): Promise<Record<string, string> | null> {
  const [account] = await select<{ dictionary: Record<string, string> }>(
    `SELECT coalesce((SELECT json_object_agg(key, value ORDER BY id) FROM account_dictionary_entries WHERE account_id = a.id), '{}') AS dictionary
       FROM accounts a WHERE ${IN_SCOPE}`,
    [accountId, scope],
  );
  return account?.dictionary ?? null;
}

/** null: no such account in the scope, or no such key. */
export async function findEntry(accountId: number, key: string, scope: string | null): Promise<string | null> {
  const [entry] = await select<{ value: string }>(
    `SELECT e.value FROM account_dictionary_entries e JOIN accounts a ON a.id = e.account_id WHERE ${IN_SCOPE} AND e.key = $3`,
    [accountId, scope, key],
  );
  return entry?.value ?? null;
}

/** Makes or replaces an entry. @returns false where there is no such account in the scope */
export async function setEntry(accountId: number, key: string, value: string, scope: string | null): Promise<boolean> {
  const stored = await execute(
    `INSERT INTO account_dictionary_entries AS e (account_id, key, value, created_at, updated_at)
     SELECT a.id, $3, $4, now(), now() FROM accounts a WHERE ${IN_SCOPE}
     ON CONFLICT (account_id, key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at`,
    [accountId, scope, key, value],
  );
  return stored === 1;
}

/** @returns whether there was such an entry in the scope */
export async function deleteEntry(accountId: number, key: string, scope: string | null): Promise<boolean> {
  const deleted = await execute(
    `DELETE FROM account_dictionary_entries e USING accounts a WHERE a.id = e.account_id AND ${IN_SCOPE} AND e.key = $3`,
    [accountId, scope, key],
  );
  return deleted === 1;
}
