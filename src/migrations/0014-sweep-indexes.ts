// An index for every sweep and every limit, built beside whoever writes: on tables that the releases before never emptied it takes a while.
import type { Sequelize } from 'sequelize';
import { createIndexConcurrently } from './indexes';

const REQUESTS = 'account_creation_request_tokens';

/** By table; the rest of the name says what is found. What is kept for ever is in none of those that a sweep walks. */
const INDEXES: [table: string, what: string, on: string][] = [
  [REQUESTS, 'network', '(network, created_at)'],
  ['auth_tokens', 'network', '(network, created_at)'],
  ['email_change_codes', 'spent', '(created_at) WHERE code IS NULL'],
  ['phone_change_codes', 'spent', '(created_at) WHERE code IS NULL'],
  ['provisioning_tokens', 'used', '(created_at) WHERE used'],
  ['provisioning_tokens', 'unused', '(id) WHERE NOT used'],
  [REQUESTS, 'used', '(created_at) WHERE used'],
  [REQUESTS, 'unvalidated', '(created_at) WHERE NOT used AND validated_at IS NULL'],
  [REQUESTS, 'validated', '(id) WHERE NOT used AND validated_at IS NOT NULL'],
  ['auth_tokens', 'unattached', '(id) WHERE account_id IS NULL'],
];

export async function up(database: Sequelize): Promise<void> {
  for (const [table, what, on] of INDEXES) await createIndexConcurrently(database, { name: `${table}_${what}_idx`, table, on });
}
