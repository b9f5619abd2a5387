// Tokens that open the remote provisioning of an account, once.
import { type Attributes, type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database, execute, select } from '../../infra/sequelize';
import { accountId, BOOLEAN, client, dated, dates, bigId, optional, required, varchar } from '../columns';

/** Tokens of an account that are kept: the newest ones. */
const MAX_KEPT = 10;

/** A token with all that decides whether it can be used. */
export interface ProvisioningTokenState extends Pick<Attributes<ProvisioningToken>, 'id' | 'account_id' | 'used'> {
  /** Whether it is the newest unused one of its account. */
  newest: boolean;
  /** Whether it is older than tokens live. */
  expired: boolean;
  /** Whether the account's time to be activated has passed. */
  activation_expired: boolean;
}

export class ProvisioningToken extends Model<InferAttributes<ProvisioningToken>, InferCreationAttributes<ProvisioningToken>> {
  declare id: CreationOptional<number>;
  declare account_id: number;
  declare token: CreationOptional<string | null>;
  declare used: CreationOptional<boolean>;
  declare ip: CreationOptional<string | null>;
  declare user_agent: CreationOptional<string | null>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;

  /** Deletes an account's tokens but for the newest ones; what somebody has locked is left. A statement of our own for its SKIP LOCKED. */
  static async trim(owner: number): Promise<void> {
    await execute(
      `DELETE FROM provisioning_tokens WHERE id = ANY (ARRAY(
         SELECT id FROM provisioning_tokens WHERE account_id = $1 AND id <= (
           SELECT id FROM provisioning_tokens WHERE account_id = $1 ORDER BY id DESC OFFSET $2 LIMIT 1) FOR UPDATE SKIP LOCKED))`,
      [owner, MAX_KEPT],
    );
  }

  /**
   * A token and its state, in one statement: its age, the account's time and the other tokens are judged at one moment of the database's clock.
   *
   * @param lifetimeMinutes 0: tokens never expire
   */
  static async findState(token: string, lifetimeMinutes: number): Promise<ProvisioningTokenState | null> {
    const [found] = await select<ProvisioningTokenState>(
      `SELECT v.id, v.account_id, v.used, coalesce(x.expires <= now(), false) AS activation_expired,
              ($2 > 0 AND v.created_at <= now() - make_interval(mins => $2)) AS expired,
              v.id IS NOT DISTINCT FROM (SELECT max(o.id) FROM provisioning_tokens o WHERE o.account_id = v.account_id AND NOT o.used) AS newest
         FROM provisioning_tokens v LEFT JOIN activation_expirations x ON x.account_id = v.account_id
        WHERE v.token = $1 ORDER BY v.id DESC LIMIT 1`,
      [token, lifetimeMinutes],
    );
    return found ?? null;
  }
}
ProvisioningToken.init(
  {
    id: bigId,
    account_id: accountId,
    token: optional(varchar(255)),
    used: required(BOOLEAN, false),
    ...client,
    ...dates,
  },
  { sequelize: database, tableName: 'provisioning_tokens', ...dated },
);
