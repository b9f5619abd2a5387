// Every table's model, all associations, and nothing else: what hangs on a model stands in its file.
import { Account } from './accounts/account';
import { ActivationExpiration } from './accounts/activation-expiration';
import { Password } from './accounts/password';
import { AccountDictionaryEntry } from './address-book/account-dictionary-entry';

const owned = { foreignKey: 'account_id' } as const;
Account.hasMany(Password, { as: 'passwords', ...owned });
Account.hasOne(ActivationExpiration, { as: 'activation_expiration', ...owned });
Account.hasMany(AccountDictionaryEntry, { as: 'dictionary_entries', ...owned });

export { Account } from './accounts/account';
export { AccountCount, AccountCountChange } from './accounts/account-count';
export { AccountTombstone } from './accounts/account-tombstone';
export { ActivationExpiration } from './accounts/activation-expiration';
export { EmailChangeCode, PhoneChangeCode } from './accounts/change-code';
export { Password } from './accounts/password';
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
export { SipMessage } from './messaging/sip-message';
export { ProvisioningToken } from './provisioning/provisioning-token';
export { Space } from './spaces/space';
export { StatisticsCallKey, StatisticsCall, StatisticsCallDevice } from './statistics/call';
export { StatisticsCallRollup } from './statistics/call-rollup';
export { StatisticsDirtyBucket } from './statistics/dirty-bucket';
export { StatisticsMessageKey, StatisticsMessage, StatisticsMessageDevice } from './statistics/message';
export { StatisticsMessageRollup } from './statistics/message-rollup';
export { StatisticsRetention } from './statistics/retention';
export { AccountCreationRequestToken } from './tokens/account-creation-request-token';
export { AccountCreationToken } from './tokens/account-creation-token';
