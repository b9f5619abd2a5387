// Lists of contacts, each of one Space; who is on them and who was given them.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, literal, Model, Op } from 'sequelize';
import { database } from '../../infra/sequelize';
import { accountId, dated, dates, id, INTEGER, optional, required, TEXT, varchar } from '../columns';
import { confine } from '../visibility';

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
    ...dates,
  },
  { sequelize: database, tableName: 'contacts_lists', ...dated },
);
confine(ContactsList, (domain) => ({
  space_id: { [Op.in]: literal(`(SELECT id FROM spaces WHERE domain = ${database.escape(domain)})`) },
}));

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
    ...dates,
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
    ...dates,
  },
  { sequelize: database, tableName: 'contacts_list_contact', ...dated },
);
ContactsListContact.removeAttribute('id');
