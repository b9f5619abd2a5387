// What hangs on an account: dictionary, actions, types, contacts, lists, vCards.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../database';
import { accountId, DATE, dated, id, INTEGER, optional, required, TEXT, varchar } from './columns';

export class AccountDictionaryEntry extends Model<
  InferAttributes<AccountDictionaryEntry>,
  InferCreationAttributes<AccountDictionaryEntry>
> {
  declare id: CreationOptional<number>;
  declare account_id: number;
  declare key: string;
  declare value: string;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
AccountDictionaryEntry.init(
  {
    id,
    account_id: accountId,
    key: required(varchar(255)),
    value: required(varchar(255)),
    created_at: DATE,
    updated_at: DATE,
  },
  { sequelize: database, tableName: 'account_dictionary_entries', ...dated },
);

export class AccountAction extends Model<InferAttributes<AccountAction>, InferCreationAttributes<AccountAction>> {
  declare id: CreationOptional<number>;
  declare account_id: number;
  declare key: string;
  declare code: string;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
AccountAction.init(
  {
    id,
    account_id: accountId,
    key: required(varchar(255)),
    code: required(varchar(255)),
    created_at: DATE,
    updated_at: DATE,
  },
  { sequelize: database, tableName: 'account_actions', ...dated },
);

export class AccountType extends Model<InferAttributes<AccountType>, InferCreationAttributes<AccountType>> {
  declare id: CreationOptional<number>;
  declare key: string;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
AccountType.init(
  {
    id,
    key: required(varchar(64)),
    created_at: DATE,
    updated_at: DATE,
  },
  { sequelize: database, tableName: 'account_types', ...dated },
);

export class AccountAccountType extends Model<InferAttributes<AccountAccountType>, InferCreationAttributes<AccountAccountType>> {
  declare account_id: number;
  declare account_type_id: number;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
AccountAccountType.init(
  {
    account_id: accountId,
    account_type_id: required(INTEGER),
    created_at: DATE,
    updated_at: DATE,
  },
  { sequelize: database, tableName: 'account_account_type', ...dated },
);
AccountAccountType.removeAttribute('id');

export class Contact extends Model<InferAttributes<Contact>, InferCreationAttributes<Contact>> {
  declare account_id: number;
  declare contact_id: number;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
Contact.init(
  {
    account_id: accountId,
    contact_id: required(INTEGER),
    created_at: DATE,
    updated_at: DATE,
  },
  { sequelize: database, tableName: 'contacts', ...dated },
);
Contact.removeAttribute('id');

export class ContactsList extends Model<InferAttributes<ContactsList>, InferCreationAttributes<ContactsList>> {
  declare id: CreationOptional<number>;
  declare title: string;
  declare description: CreationOptional<string | null>;
  declare space_id: CreationOptional<number | null>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
ContactsList.init(
  {
    id,
    title: required(varchar(255)),
    description: optional(TEXT),
    space_id: optional(INTEGER),
    created_at: DATE,
    updated_at: DATE,
  },
  { sequelize: database, tableName: 'contacts_lists', ...dated },
);

export class AccountContactsList extends Model<InferAttributes<AccountContactsList>, InferCreationAttributes<AccountContactsList>> {
  declare account_id: number;
  declare contacts_list_id: number;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
AccountContactsList.init(
  {
    account_id: accountId,
    contacts_list_id: required(INTEGER),
    created_at: DATE,
    updated_at: DATE,
  },
  { sequelize: database, tableName: 'account_contacts_list', ...dated },
);
AccountContactsList.removeAttribute('id');

export class ContactsListContact extends Model<InferAttributes<ContactsListContact>, InferCreationAttributes<ContactsListContact>> {
  declare contact_id: number;
  declare contacts_list_id: number;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
ContactsListContact.init(
  {
    contact_id: required(INTEGER),
    contacts_list_id: required(INTEGER),
    created_at: DATE,
    updated_at: DATE,
  },
  { sequelize: database, tableName: 'contacts_list_contact', ...dated },
);
ContactsListContact.removeAttribute('id');

export class VcardStorage extends Model<InferAttributes<VcardStorage>, InferCreationAttributes<VcardStorage>> {
  declare id: CreationOptional<number>;
  declare account_id: number;
  declare uuid: string;
  declare vcard: string;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
}
VcardStorage.init(
  {
    id,
    account_id: accountId,
    uuid: required(TEXT),
    vcard: required(TEXT),
    created_at: DATE,
    updated_at: DATE,
  },
  { sequelize: database, tableName: 'vcards_storage', ...dated },
);
