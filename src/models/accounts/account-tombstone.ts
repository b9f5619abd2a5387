// Names of deleted accounts: taken until an operator clears them.
import { type CreationOptional, type InferAttributes, type InferCreationAttributes, Model, Op } from 'sequelize';
import { database, select } from '../../infra/sequelize';
import { caselessUsernames } from '../../infra/sip-uri';
import { dated, dates, id, required, varchar } from '../columns';
import { daysAgo, NOW } from '../moments';
import { type AccountName, namedSql } from './account';

export class AccountTombstone extends Model<InferAttributes<AccountTombstone>, InferCreationAttributes<AccountTombstone>> {
  declare id: CreationOptional<number>;
  declare username: string;
  declare domain: string;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;

  /** Takes the name of an account that is deleted now. A tombstone that it has already (of an import, say) counts from now on. */
  static async record({ username, domain }: AccountName): Promise<void> {
    await AccountTombstone.upsert({ username, domain, created_at: NOW, updated_at: NOW }, { conflictFields: ['username', 'domain'] });
  }

  /**
   * Whether an account of this name was deleted, letter case ignored. After the insert of a new account a later statement must ask: the insert may have waited for that
   * very deletion. Of our own, since every creation of an account pays for it.
   */
  static async has({ username, domain }: AccountName): Promise<boolean> {
    const found = await select(`SELECT 1 AS one FROM accounts_tombstones WHERE ${namedSql('$1', '$2')}`, [
      caselessUsernames(username),
      domain,
    ]);
    return found.length > 0;
  }
}
AccountTombstone.init(
  {
    id,
    username: required(varchar(64)),
    domain: required(varchar(64)),
    ...dates,
  },
  { sequelize: database, tableName: 'accounts_tombstones', ...dated },
);

/** `olderThan(days)`, by the database's clock. */
AccountTombstone.addScope('olderThan', (days: number) => ({ where: { created_at: { [Op.lt]: daysAgo(days) } } }));
