// Named keys, as the API makes them.
import { hashApiKey, newNamedKey } from '../../src/services/credentials/secrets';
import type { System } from './system';

/** Makes a named key that never ends and works from anywhere. @returns its text */
export async function namedKey(system: System, account_id: number, scopes: string[]): Promise<string> {
  const key = newNamedKey();
  await system.rows(
    `WITH made AS (INSERT INTO named_api_keys (account_id, name, scopes, created_at, updated_at) VALUES ($1, $2, $3, now(), now()) RETURNING id)
    INSERT INTO named_api_key_secrets (key_hash, key_id) SELECT $4, id FROM made`,
    [account_id, `key ${key.slice(-6)}`, scopes, hashApiKey(key)],
  );
  return key;
}
