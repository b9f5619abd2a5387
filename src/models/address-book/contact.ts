// Contacts that an admin gave an account.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { accountId, dated, dates, INTEGER, required } from '../columns';

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
    ...dates,
  },
  { sequelize: database, tableName: 'contacts', ...dated },
);
Contact.removeAttribute('id');
