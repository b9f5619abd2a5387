// Every table's model, all associations, and nothing else: what hangs on a model stands in its file.
import { Account } from './accounts/account';
import { ActivationExpiration } from './accounts/activation-expiration';
import { EmailChangeCode } from './accounts/email-change-code';
import { Password } from './accounts/password';
import { PhoneChangeCode } from './accounts/phone-change-code';
import { RecoveryCode } from './accounts/recovery-code';
import { AccountAction } from './address-book/account-action';
import { AccountDictionaryEntry } from './address-book/account-dictionary-entry';
import { AccountType, AccountAccountType } from './address-book/account-type';
import { Contact } from './address-book/contact';
import { ContactsList, AccountContactsList, ContactsListContact } from './address-book/contacts-list';
import { VcardStorage } from './address-book/vcard-storage';
import { ApiKey } from './credentials/api-key';
import { AuthToken } from './credentials/auth-token';
import { Nonce } from './credentials/nonce';
import { ProvisioningToken } from './provisioning/provisioning-token';
import { Space } from './spaces/space';
import { AccountCreationRequestToken } from './tokens/account-creation-request-token';
import { AccountCreationToken } from './tokens/account-creation-token';

Account.belongsTo(Space, { as: 'space', foreignKey: 'domain', targetKey: 'domain' });
Space.hasMany(Account, { as: 'accounts', foreignKey: 'domain', sourceKey: 'domain' });
Space.hasMany(ContactsList, { as: 'contacts_lists', foreignKey: 'space_id' });

const owned = { foreignKey: 'account_id' } as const;
Account.hasMany(Password, { as: 'passwords', ...owned });
Account.hasOne(ApiKey, { as: 'api_key', ...owned });
Account.hasMany(Nonce, { as: 'nonces', ...owned });
Account.hasOne(ActivationExpiration, { as: 'activation_expiration', ...owned });
Account.hasMany(AccountCreationToken, { as: 'account_creation_tokens', ...owned });
Account.hasMany(AuthToken, { as: 'auth_tokens', ...owned });
Account.hasMany(ProvisioningToken, { as: 'provisioning_tokens', ...owned });
Account.hasMany(EmailChangeCode, { as: 'email_change_codes', ...owned });
Account.hasMany(PhoneChangeCode, { as: 'phone_change_codes', ...owned });
Account.hasMany(RecoveryCode, { as: 'recovery_codes', ...owned });
Account.hasMany(AccountDictionaryEntry, { as: 'dictionary_entries', ...owned });
Account.hasMany(AccountAction, { as: 'actions', ...owned });
Account.hasMany(VcardStorage, { as: 'vcards', ...owned });
Account.belongsToMany(AccountType, { as: 'types', through: AccountAccountType, foreignKey: 'account_id', otherKey: 'account_type_id' });
Account.belongsToMany(Account, { as: 'contacts', through: Contact, foreignKey: 'account_id', otherKey: 'contact_id' });
Account.belongsToMany(ContactsList, {
  as: 'contacts_lists',
  through: AccountContactsList,
  foreignKey: 'account_id',
  otherKey: 'contacts_list_id',
});
ContactsList.belongsToMany(Account, {
  as: 'contacts',
  through: ContactsListContact,
  foreignKey: 'contacts_list_id',
  otherKey: 'contact_id',
});
AccountCreationRequestToken.belongsTo(AccountCreationToken, { as: 'creation_token', foreignKey: 'acc_creation_token_id' });

export { Account } from './accounts/account';
export { AccountCount, AccountCountChange } from './accounts/account-count';
export { AccountTombstone } from './accounts/account-tombstone';
export { ActivationExpiration } from './accounts/activation-expiration';
export { EmailChangeCode } from './accounts/email-change-code';
export { Password } from './accounts/password';
export { PhoneChangeCode } from './accounts/phone-change-code';
export { PhoneCountry } from './accounts/phone-country';
export { RecoveryCode } from './accounts/recovery-code';
export { AccountAction } from './address-book/account-action';
export { AccountDictionaryEntry } from './address-book/account-dictionary-entry';
export { AccountType, AccountAccountType } from './address-book/account-type';
export { Contact } from './address-book/contact';
export { ContactsList, AccountContactsList, ContactsListContact } from './address-book/contacts-list';
export { VcardStorage } from './address-book/vcard-storage';
export { ApiKey } from './credentials/api-key';
export { AuthToken } from './credentials/auth-token';
export { Nonce, NonceClearing } from './credentials/nonce';
export { Message } from './messaging/message';
export { ProvisioningToken } from './provisioning/provisioning-token';
export { Space } from './spaces/space';
export { StatisticsCallKey, StatisticsCall, StatisticsCallDevice } from './statistics/call';
export { StatisticsDirtyBucket } from './statistics/dirty-bucket';
export { StatisticsMessageKey, StatisticsMessage, StatisticsMessageDevice } from './statistics/message';
export { StatisticsRetention } from './statistics/retention';
export { StatisticsMessageRollup, StatisticsCallRollup } from './statistics/rollup';
export { AccountCreationRequestToken } from './tokens/account-creation-request-token';
export { AccountCreationToken } from './tokens/account-creation-token';
