// The end of a Space: everything in it, set by set. Statements of our own that join what hangs on accounts with the accounts: left to the
// foreign keys it would be a look-up per account and table.
import { execute, select } from '../../infra/sequelize';
import { ActivationExpiration } from '../accounts/activation-expiration';
import { EmailChangeCode, PhoneChangeCode } from '../accounts/change-code';
import { Password } from '../accounts/password';
import { RecoveryCode } from '../accounts/recovery-code';
import { AccountAction } from '../address-book/account-action';
import { AccountDictionaryEntry } from '../address-book/account-dictionary-entry';
import { AccountAccountType } from '../address-book/account-type';
import { Contact } from '../address-book/contact';
import { AccountContactsList, ContactsListContact } from '../address-book/contacts-list';
import { VcardStorage } from '../address-book/vcard-storage';
import { VcardUsage } from '../address-book/vcard-usage';
import { ApiKey } from '../credentials/api-key';
import { AuthToken } from '../credentials/auth-token';
import { Nonce } from '../credentials/nonce';
import { TokenDelivery } from '../credentials/token-delivery';
import { ProvisioningToken } from '../provisioning/provisioning-token';
import { deleteSentStatistics } from '../statistics/deletion';
import { AccountCreationToken } from '../tokens/account-creation-token';

/** Tables whose rows name an account, and the columns that do. */
const RELATED: [model: { tableName: string }, column: 'account_id' | 'contact_id'][] = [
  [Password, 'account_id'],
  [ApiKey, 'account_id'],
  [Nonce, 'account_id'],
  [ActivationExpiration, 'account_id'],
  [AccountCreationToken, 'account_id'],
  [AuthToken, 'account_id'],
  [ProvisioningToken, 'account_id'],
  [TokenDelivery, 'account_id'],
  [EmailChangeCode, 'account_id'],
  [PhoneChangeCode, 'account_id'],
  [RecoveryCode, 'account_id'],
  [AccountDictionaryEntry, 'account_id'],
  [AccountAction, 'account_id'],
  [AccountAccountType, 'account_id'],
  [AccountContactsList, 'account_id'],
  // Before the cards, whose triggers would count them down one account after another.
  [VcardUsage, 'account_id'],
  [VcardStorage, 'account_id'],
  [Contact, 'account_id'],
  [Contact, 'contact_id'],
  [ContactsListContact, 'contact_id'],
];

/**
 * Deletes a Space with its accounts, contacts lists and the statistics sent from it; leaves no tombstones. Inside a transaction whose
 * statements may take long: while it runs, nothing is made in the Space.
 *
 * @param domain in lower case
 * @returns whether there was one
 */
export async function deleteSpaceWithAll(domain: string): Promise<boolean> {
  // Making an account locks the same row, for its foreign key.
  const found = await select('SELECT 1 AS one FROM spaces WHERE domain = $1 FOR UPDATE', [domain]);
  if (found.length === 0) return false;
  // Accounts before what hangs on them, as everybody locks them.
  await select('SELECT count(*) AS accounts FROM (SELECT id FROM accounts WHERE domain = $1 ORDER BY id FOR UPDATE) a', [domain]);
  for (const [{ tableName }, column] of RELATED)
    await execute(`DELETE FROM ${tableName} t USING accounts a WHERE a.domain = $1 AND t.${column} = a.id`, [domain]);
  await deleteSentStatistics({ domain });
  await execute('DELETE FROM accounts WHERE domain = $1', [domain]);
  await execute('DELETE FROM spaces WHERE domain = $1', [domain]);
  return true;
}
