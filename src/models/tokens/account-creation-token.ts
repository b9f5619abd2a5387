// Tokens that allow to make one account.
import { type Attributes, type CreationOptional, type InferAttributes, type InferCreationAttributes, literal, Model, Op } from 'sequelize';
import { settings } from '../../../config';
import { database, execute, select } from '../../infra/sequelize';
import { BOOLEAN, client, dated, dates, bigId, INTEGER, optional, required, sending, type SendState, varchar } from '../columns';
import { NOW } from '../moments';

/** Condition: may be used for an account, since it was sent, or made without sending, and is not too old. */
const usableSql = (): string => {
  const lifeMinutes = Math.trunc(settings.APP_ACCOUNT_CREATION_TOKEN_EXPIRATION_MINUTES);
  return `NOT used AND account_id IS NULL AND (send_state IS NULL OR send_state = 'sent')${
    lifeMinutes === 0 ? '' : ` AND created_at > now() - make_interval(mins => ${lifeMinutes})`
  }`;
};

/** The device that a token is sent to: push provider, application and device token. */
export type TokenDevice = Pick<Attributes<AccountCreationToken>, 'pn_provider' | 'pn_param' | 'pn_prid'>;

export class AccountCreationToken extends Model<InferAttributes<AccountCreationToken>, InferCreationAttributes<AccountCreationToken>> {
  declare id: CreationOptional<number>;
  declare token: string;
  declare pn_provider: CreationOptional<string | null>;
  declare pn_param: CreationOptional<string | null>;
  declare pn_prid: CreationOptional<string | null>;
  declare used: CreationOptional<boolean>;
  declare account_id: CreationOptional<number | null>;
  declare ip: CreationOptional<string | null>;
  declare user_agent: CreationOptional<string | null>;
  declare send_state: CreationOptional<SendState | null>;
  declare send_deadline: CreationOptional<Date | null>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;

  /** Whether a token may be used for an account now. A statement of our own, as redeem() is. */
  static async isUsable(token: Attributes<AccountCreationToken>['token']): Promise<boolean> {
    return (await select(`SELECT 1 AS one FROM account_creation_tokens WHERE token = $1 AND ${usableSql()}`, [token])).length > 0;
  }

  /**
   * Uses a token up for an account: of two callers one wins. A conditional statement of our own, since apps create accounts all day, and
   * update() costs the process five times as much.
   *
   * @returns whether it was usable
   */
  static async redeem(
    token: Attributes<AccountCreationToken>['token'],
    accountId: NonNullable<Attributes<AccountCreationToken>['account_id']>,
  ): Promise<boolean> {
    const redeemed = await execute(
      `UPDATE account_creation_tokens SET used = true, account_id = $2, updated_at = now() WHERE token = $1 AND ${usableSql()}`,
      [token, accountId],
    );
    return redeemed === 1;
  }

  /**
   * Waits for the device's own lock, held until the transaction around it ends: of any number of requests for one device, one decides at
   * a time. A statement of our own, since an advisory lock locks no row: the device may have none yet.
   */
  static async lockDevice({ pn_provider, pn_param, pn_prid }: TokenDevice): Promise<void> {
    await execute('SELECT pg_advisory_xact_lock(hashtextextended(jsonb_build_array($1::text, $2::text, $3::text)::text, 0))', [
      pn_provider,
      pn_param,
      pn_prid,
    ]);
  }

  /**
   * Counts the device's tokens. One statement of our own, since both counts come from one look at the index.
   *
   * A row counts where it was sent, or is being sent and its deadline has not passed: what a killed worker left behind counts no longer
   * than its send could have taken.
   *
   * @param retryMinutes how long an unused token counts as recent
   * @param lifeMinutes after which a token is of no use and no longer recent; 0 = never
   * @returns `recent`: unused and young; `today`: all of the last 24 hours
   */
  static async countForDevice(
    { pn_provider, pn_param, pn_prid }: TokenDevice,
    retryMinutes: number,
    lifeMinutes: number,
  ): Promise<{ recent: number; today: number }> {
    const [counted = { recent: 0, today: 0 }] = await select<{ recent: number; today: number }>(
      `SELECT count(*) FILTER (WHERE NOT used AND created_at > now() - make_interval(mins => $4)
                                 AND ($5 = 0 OR created_at > now() - make_interval(mins => $5)))::integer AS recent,
              count(*) FILTER (WHERE created_at > now() - interval '24 hours')::integer AS today
         FROM account_creation_tokens
        WHERE pn_provider = $1 AND pn_param IS NOT DISTINCT FROM $2 AND pn_prid IS NOT DISTINCT FROM $3
          AND (send_state = 'sent' OR (send_state = 'sending' AND send_deadline > clock_timestamp()))
          AND created_at > now() - greatest(interval '24 hours', make_interval(mins => $4))`,
      [pn_provider, pn_param, pn_prid, retryMinutes, lifeMinutes],
    );
    return counted;
  }
}
AccountCreationToken.init(
  {
    id: bigId,
    token: required(varchar(255)),
    pn_provider: optional(varchar(255)),
    pn_param: optional(varchar(255)),
    pn_prid: optional(varchar(255)),
    used: required(BOOLEAN, false),
    account_id: optional(INTEGER),
    ...client,
    ...sending,
    ...dates,
  },
  {
    sequelize: database,
    tableName: 'account_creation_tokens',
    ...dated,
    scopes: {
      usable: () => ({ where: literal(usableSql()) }),
      /** On its way to a device. */
      sending: { where: { send_state: 'sending' } },
      /** On its way, and the request that asked for it still waits. */
      in_time: { where: { send_deadline: { [Op.gt]: NOW } } },
    },
  },
);
