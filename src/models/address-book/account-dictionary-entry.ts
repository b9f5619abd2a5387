// An account's dictionary: keys and values that its apps read.
import { type Attributes, type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database, execute } from '../../infra/sequelize';
import { accountId, dated, dates, id, required, varchar } from '../columns';
import { confine, confinedTo, ofAccountsIn, type Viewer } from '../visibility';

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

  /**
   * Makes or replaces an entry. One statement of our own, since it also finds out whether the viewer may see the account.
   *
   * @returns false where there is no such account for the viewer
   */
  static async put(
    viewer: Viewer,
    { account_id, key, value }: Pick<Attributes<AccountDictionaryEntry>, 'account_id' | 'key' | 'value'>,
  ): Promise<boolean> {
    const stored = await execute(
      `INSERT INTO account_dictionary_entries AS e (account_id, key, value, created_at, updated_at)
       SELECT a.id, $3, $4, now(), now() FROM accounts a WHERE a.id = $1 AND ($2::text IS NULL OR a.domain = $2)
       ON CONFLICT (account_id, key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at`,
      [account_id, confinedTo(viewer), key, value],
    );
    return stored === 1;
  }
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
