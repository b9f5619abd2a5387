// Every table's model, and all associations.
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

export * from './accounts/account';
export * from './accounts/account-count';
export * from './accounts/account-tombstone';
export * from './accounts/activation-expiration';
export * from './accounts/email-change-code';
export * from './accounts/password';
export * from './accounts/phone-change-code';
export * from './accounts/phone-country';
export * from './accounts/recovery-code';
export * from './address-book/account-action';
export * from './address-book/account-dictionary-entry';
export * from './address-book/account-type';
export * from './address-book/contact';
export * from './address-book/contacts-list';
export * from './address-book/vcard-storage';
export * from './credentials/api-key';
export * from './credentials/auth-token';
export * from './credentials/nonce';
export * from './messaging/message';
export * from './provisioning/provisioning-token';
export * from './spaces/space';
export * from './statistics/call';
export * from './statistics/dirty-bucket';
export * from './statistics/message';
export * from './statistics/retention';
export * from './statistics/rollup';
export * from './tokens/account-creation-request-token';
export * from './tokens/account-creation-token';
