// The end of a Space: everything in it, in one transaction, set by set.
import { inLongTransaction } from '../../infra/database';
import { execute, select } from '../../infra/sequelize';
import { deleteSentStatistics } from '../../models/statistics/deletion';

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
const BELONGINGS = [
  ...OWNED.map((table) => `DELETE FROM ${table} t USING accounts a WHERE a.domain = $1 AND t.account_id = a.id`),
  'DELETE FROM contacts t USING accounts a WHERE a.domain = $1 AND t.account_id = a.id',
  'DELETE FROM contacts t USING accounts a WHERE a.domain = $1 AND t.contact_id = a.id',
  'DELETE FROM contacts_list_contact t USING accounts a WHERE a.domain = $1 AND t.contact_id = a.id',
];

/**
 * Deletes a Space with its accounts, contacts lists and the statistics sent from it; no tombstones (api.md 4, «Spaces»).
 * While it runs, nothing is made in the Space. @returns whether there was one
 */
export async function deleteSpace(domain: string): Promise<boolean> {
  return inLongTransaction(async () => {
    const bind = [domain.toLowerCase()];
    // Whoever makes an account locks the same row for the foreign key.
    const found = await select('SELECT 1 AS one FROM spaces WHERE domain = $1 FOR UPDATE', bind);
    if (found.length === 0) return false;
    for (const statement of BELONGINGS) await execute(statement, bind);
    await deleteSentStatistics({ domain: domain.toLowerCase() });
    await execute('DELETE FROM accounts WHERE domain = $1', bind);
    await execute('DELETE FROM spaces WHERE domain = $1', bind);
    return true;
  });
}
