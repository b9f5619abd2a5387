// Tokens that open the remote provisioning of an account, once.
import { type Attributes, type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database, select } from '../../infra/sequelize';
import { accountId, BOOLEAN, client, dated, dates, id, optional, required, varchar } from '../columns';

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
    id,
    account_id: accountId,
    token: optional(varchar(255)),
    used: required(BOOLEAN, false),
    ...client,
    ...dates,
  },
  { sequelize: database, tableName: 'provisioning_tokens', ...dated },
);
