// The end of a Space: its accounts and what hangs on them, set by set. Statements of our own that join what hangs on accounts with the accounts: left
// to the foreign keys it would be a look-up per account and table. What has any number of rows is removed in pieces afterwards (pending-deletion.ts).
import { execute, select } from '../../infra/sequelize';
import { ActivationExpiration } from '../accounts/activation-expiration';
import { EmailChangeCode, PhoneChangeCode } from '../accounts/change-code';
import { Password } from '../accounts/password';
import { RecoveryCode } from '../accounts/recovery-code';
import { AccountAccountType } from '../address-book/account-type';
import { AccountContactsList, ContactsListContact } from '../address-book/contacts-list';
import { VcardUsage } from '../address-book/vcard-usage';
import { ApiKey } from '../credentials/api-key';
import { AuthToken } from '../credentials/auth-token';
import { TokenDelivery } from '../credentials/token-delivery';
import { ProvisioningToken } from '../provisioning/provisioning-token';
import { endFigures } from '../statistics/deletion';
import { AccountCreationToken } from '../tokens/account-creation-token';
import { isLastSuperSpace } from './super-admins';

/** Tables whose rows go with their account, and the columns that name it. */
const RELATED: [model: { tableName: string }, column: 'account_id' | 'contact_id'][] = [
  [Password, 'account_id'],
  [ApiKey, 'account_id'],
  [ActivationExpiration, 'account_id'],
  [AccountCreationToken, 'account_id'],
  [AuthToken, 'account_id'],
  [ProvisioningToken, 'account_id'],
  [TokenDelivery, 'account_id'],
  [EmailChangeCode, 'account_id'],
  [PhoneChangeCode, 'account_id'],
  [RecoveryCode, 'account_id'],
  [AccountAccountType, 'account_id'],
  [AccountContactsList, 'account_id'],
  [VcardUsage, 'account_id'],
  [ContactsListContact, 'contact_id'],
];

/**
 * Deletes a Space with its accounts, contacts lists and figures; leaves no tombstones. What its accounts had many rows of, and the statistics sent from
 * it, are pending deletions then. Inside a transaction whose statements may take long: while it runs, nothing is made in the Space.
 *
 * @param domain in lower case
 * @returns `last`: nothing was deleted, since nobody would be left to manage the installation
 */
export async function deleteSpaceWithAll(domain: string): Promise<'deleted' | 'absent' | 'last'> {
  // Making an account locks the same row, for its foreign key.
  const [found] = await select<{ super: boolean }>('SELECT super FROM spaces WHERE domain = $1 FOR UPDATE', [domain]);
  if (!found) return 'absent';
  // Accounts before what hangs on them, as everybody locks them.
  await select('SELECT count(*) AS accounts FROM (SELECT id FROM accounts WHERE domain = $1 ORDER BY id FOR UPDATE) a', [domain]);
  if (found.super && (await isLastSuperSpace(domain))) return 'last';
  for (const [{ tableName }, column] of RELATED)
    await execute(`DELETE FROM ${tableName} t USING accounts a WHERE a.domain = $1 AND t.${column} = a.id`, [domain]);
  await execute('DELETE FROM accounts WHERE domain = $1', [domain]);
  await execute('DELETE FROM spaces WHERE domain = $1', [domain]);
  const [deletion] = await select<{ moment: string }>(
    'INSERT INTO pending_deletions (domain) VALUES ($1) RETURNING deleted_at::text AS moment',
    [domain],
  );
  // Last, since aggregations wait from here to the end of the transaction.
  await endFigures(domain, deletion?.moment ?? 'now');
  return 'deleted';
}
