// An account's dictionary: keys and values that its apps read.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database } from '../../infra/sequelize';
import { accountId, dated, dates, id, required, varchar } from '../columns';
import { confine, ofAccountsIn } from '../visibility';

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
    ...dates,
  },
  { sequelize: database, tableName: 'account_dictionary_entries', ...dated },
);
confine(AccountDictionaryEntry, ofAccountsIn);
