// Tokens that a device shows and a signed-in person attaches, to be exchanged for an API key.
import { type Attributes, type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database, select } from '../../infra/sequelize';
import { client, dated, dates, bigId, INTEGER, optional, required, varchar } from '../columns';
import { createdWithin } from '../moments';

/** From its making, attached or not. */
export const AUTH_TOKEN_LIFETIME_MINUTES = 5;

export class AuthToken extends Model<InferAttributes<AuthToken>, InferCreationAttributes<AuthToken>> {
  declare id: CreationOptional<number>;
  declare token: string;
  declare account_id: CreationOptional<number | null>;
  declare ip: CreationOptional<string | null>;
  /** Of the address, as limits count it (`networkOf()` of infra/ip-address.ts). */
  declare network: CreationOptional<string | null>;
  declare user_agent: CreationOptional<string | null>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;

  /** The account of a token that could be used now; null where redeem() would give none. */
  static async findAccountId(token: string): Promise<Attributes<AuthToken>['account_id']> {
    const found = await this.scope('alive').findOne({ attributes: ['account_id'], where: { token }, raw: true });
    return found?.account_id ?? null;
  }

  /**
   * Uses an attached token up: its row is deleted. One statement, so that of two callers one gets the account, which destroy() does not give.
   *
   * @returns its account; null where the token is unknown, too old, used, or not attached
   */
  static async redeem(token: string): Promise<NonNullable<Attributes<AuthToken>['account_id']> | null> {
    const [row] = await select<{ account_id: number }>(
      `DELETE FROM auth_tokens WHERE token = $1 AND account_id IS NOT NULL AND created_at > now() - make_interval(mins => $2)
       RETURNING account_id`,
      [token, AUTH_TOKEN_LIFETIME_MINUTES],
    );
    return row?.account_id ?? null;
  }
}
AuthToken.init(
  {
    id: bigId,
    token: required(varchar(32)),
    account_id: optional(INTEGER),
    ...client,
    network: optional(varchar(255)),
    ...dates,
  },
  { sequelize: database, tableName: 'auth_tokens', ...dated },
);

/** Young enough to be attached. */
AuthToken.addScope('alive', () => ({ where: createdWithin(AUTH_TOKEN_LIFETIME_MINUTES) }));
