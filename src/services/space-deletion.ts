// The end of a Space: everything in it, in one transaction, set by set.
import { settings } from '../../config';
import { openDatabase } from '../database';

/** A large Space takes longer than a query of a request may; its deletion has a connection of its own. */
const TIME_LIMIT = 600_000;

const OWNED = [
  'passwords',
  'api_keys',
  'nonces',
  'activation_expirations',
  'account_creation_tokens',
  'auth_tokens',
  'provisioning_tokens',
  'email_change_codes',
  'phone_change_codes',
  'recovery_codes',
  'account_dictionary_entries',
  'account_actions',
  'account_account_type',
  'account_contacts_list',
  'vcards_storage',
];

// $1 is the domain. What hangs on the accounts goes first, by joins: left to the foreign keys it would be a look-up an account and table.
const STATEMENTS = [
  ...OWNED.map((table) => `DELETE FROM ${table} t USING accounts a WHERE a.domain = $1 AND t.account_id = a.id`),
  'DELETE FROM contacts t USING accounts a WHERE a.domain = $1 AND t.account_id = a.id',
  'DELETE FROM contacts t USING accounts a WHERE a.domain = $1 AND t.contact_id = a.id',
  'DELETE FROM contacts_list_contact t USING accounts a WHERE a.domain = $1 AND t.contact_id = a.id',
  // Hours whose figures change: those of the domain, and of whoever it wrote to or called.
  `INSERT INTO statistics_dirty_buckets (kind, hour, domain)
   SELECT DISTINCT 'messages', date_trunc('hour', m.sent_at, 'UTC'), p.domain
     FROM statistics_messages m LEFT JOIN statistics_message_devices d ON d.message_id = m.id AND d.sent_at = m.sent_at
     CROSS JOIN LATERAL (VALUES (m.from_domain), (d.to_domain)) AS p (domain) WHERE m.from_domain = $1 AND p.domain IS NOT NULL`,
  `INSERT INTO statistics_dirty_buckets (kind, hour, domain)
   SELECT DISTINCT 'calls', date_trunc('hour', c.initiated_at, 'UTC'), p.domain
     FROM statistics_calls c CROSS JOIN LATERAL (VALUES (c.from_domain), (c.to_domain)) AS p (domain) WHERE c.from_domain = $1`,
  // The keys first: an event that comes now waits for them, and finds no parent (services/statistics.ts).
  'DELETE FROM statistics_message_keys k USING statistics_messages m WHERE m.from_domain = $1 AND k.id = m.id',
  'DELETE FROM statistics_call_keys k USING statistics_calls c WHERE c.from_domain = $1 AND k.id = c.id',
  'DELETE FROM statistics_message_devices d USING statistics_messages m WHERE m.from_domain = $1 AND d.message_id = m.id AND d.sent_at = m.sent_at',
  'DELETE FROM statistics_call_devices d USING statistics_calls c WHERE c.from_domain = $1 AND d.call_id = c.id AND d.initiated_at = c.initiated_at',
  'DELETE FROM statistics_messages WHERE from_domain = $1',
  'DELETE FROM statistics_calls WHERE from_domain = $1',
  'DELETE FROM accounts WHERE domain = $1',
  'DELETE FROM spaces WHERE domain = $1',
];

/**
 * Deletes a Space with its accounts, contacts lists and the statistics sent from it; no tombstones (api.md 4, «Spaces»).
 * While it runs, nothing is made in the Space. @returns whether there was one
 */
export async function deleteSpace(domain: string): Promise<boolean> {
  const database = openDatabase({ url: settings.DATABASE_URL ?? '', poolSize: 1, queryTimeout: TIME_LIMIT });
  try {
    return await database.transaction(async () => {
      const bind = [domain.toLowerCase()];
      // Whoever makes an account locks the same row for the foreign key.
      const [found] = await database.query('SELECT 1 AS one FROM spaces WHERE domain = $1 FOR UPDATE', { bind });
      if (found.length === 0) return false;
      for (const statement of STATEMENTS) await database.query(statement, { bind });
      return true;
    });
  } finally {
    await database.close();
  }
}
