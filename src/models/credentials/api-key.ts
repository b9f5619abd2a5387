// The API key of an account: its hash, and when it was last used.
import { type Attributes, type CreationOptional, type InferAttributes, type InferCreationAttributes, Model, Op } from 'sequelize';
import { database, execute } from '../../infra/sequelize';
import { accountId, DATE, dated, dates, bigId, BIGINT, optional, required, varchar } from '../columns';
import { NOW, secondsAgo } from '../moments';

/** Uses of a key that are not written yet. */
export interface KeyUse extends Pick<Attributes<ApiKey>, 'id' | 'last_used_at'> {
  uses: number;
}

export class ApiKey extends Model<InferAttributes<ApiKey>, InferCreationAttributes<ApiKey>> {
  declare id: CreationOptional<number>;
  declare account_id: number;
  /** SHA-256 of the key, in hexadecimal. */
  declare key: string;
  /** The only address that it works from; null: any. */
  declare ip: CreationOptional<string | null>;
  declare requests: CreationOptional<number>;
  declare last_used_at: Date;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;

  /** Stores the hash of an account's key in the place of the one before: an account has one. */
  static async replace({ account_id, key, ip }: Pick<Attributes<ApiKey>, 'account_id' | 'key' | 'ip'>): Promise<void> {
    await ApiKey.upsert({ account_id, key, ip, requests: 0, last_used_at: NOW, updated_at: NOW }, { conflictFields: ['account_id'] });
  }

  /** Adds uses to many keys at once. One statement, since a busy process writes hundreds of keys a second. */
  static async addUses(batch: readonly KeyUse[]): Promise<void> {
    await execute(
      `UPDATE api_keys k SET last_used_at = greatest(k.last_used_at, u.last), requests = k.requests + u.uses
         FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) AS u (id, uses, last) WHERE k.id = u.id`,
      [batch.map((key) => key.id), batch.map((key) => key.uses), batch.map((key) => key.last_used_at)],
    );
  }
}
ApiKey.init(
  {
    id: bigId,
    account_id: accountId,
    key: required(varchar(160)),
    ip: optional(varchar(255)),
    requests: required(BIGINT, 0),
    last_used_at: required(DATE),
    ...dates,
  },
  { sequelize: database, tableName: 'api_keys', ...dated },
);

/** `unusedFor(seconds)`, by the database's clock. */
ApiKey.addScope('unusedFor', (seconds: number) => ({ where: { last_used_at: { [Op.lt]: secondsAgo(seconds) } } }));
