// Every table's model, and all associations.
import { Account, ActivationExpiration, ApiKey, Nonce, Password } from './account';
import {
  AccountAction,
  AccountAccountType,
  AccountContactsList,
  AccountDictionaryEntry,
  AccountType,
  Contact,
  ContactsList,
  ContactsListContact,
  VcardStorage,
} from './belongings';
import { EmailChangeCode, PhoneChangeCode, RecoveryCode } from './codes';
import { Space } from './space';
import { AccountCreationRequestToken, AccountCreationToken, AuthToken, ProvisioningToken } from './tokens';

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

export * from './account';
export * from './belongings';
export * from './codes';
export * from './message';
export * from './phone-country';
export * from './space';
export * from './statistics';
export * from './tokens';
