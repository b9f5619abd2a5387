// Named keys, as the API makes them.
import { hashApiKey, newNamedKey } from '../../src/services/credentials/secrets';
import type { Account, System } from './system';

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

/** The answer to `POST /api_keys`. */
export interface MadeKey extends Record<string, unknown> {
  id: number;
  api_key: string;
  name: string;
}

let serial = 0;

/** Makes a key with a name of its own that may read accounts, unless `values` say otherwise. @throws where it is not made */
export async function makeNamedKey(system: System, by: Account, values: object = {}): Promise<MadeKey> {
  const body = { name: `machine ${(serial += 1)}`, scopes: ['accounts:read'], ...values };
  const answer = await system.api('/api_keys', { method: 'POST', key: by.key, body });
  if (answer.status !== 201) throw new Error(answer.text);
  return answer.json as MadeKey;
}
