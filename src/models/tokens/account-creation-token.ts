// Tokens that allow to make one account.
import { type Attributes, type CreationOptional, type InferAttributes, type InferCreationAttributes, literal, Model, Op } from 'sequelize';
import { settings } from '../../../config';
import { database, execute, select } from '../../infra/sequelize';
import { BOOLEAN, client, dated, dates, bigId, INTEGER, optional, required, sending, type SendState, varchar } from '../columns';
import type { LedgerEntry } from '../messaging/send';
import { NOW } from '../moments';

/** Condition: may be used for an account, since it was sent, or made without sending, and is not too old. */
export const usableSql = (): string => {
  const lifeMinutes = Math.trunc(settings.APP_ACCOUNT_CREATION_TOKEN_EXPIRATION_MINUTES);
  return `NOT used AND account_id IS NULL AND (send_state IS NULL OR send_state = 'sent')${
    lifeMinutes === 0 ? '' : ` AND created_at > now() - make_interval(mins => ${lifeMinutes})`
  }`;
};

/** SQL: uses a token up for an account, if it is usable. @param token placeholder @param account placeholder */
export const redeemSql = (token: string, account: string): string =>
  `UPDATE account_creation_tokens SET used = true, account_id = ${account}, updated_at = now() WHERE token = ${token} AND ${usableSql()}`;

/** A token that is to be sent to a device, which its push provider, application and device token name. */
export interface BegunSend {
  pn_provider: string;
  pn_param: string | null;
  pn_prid: string;
  ip: string | null;
  user_agent: string | null | undefined;
  token: string;
  /** Until the send's deadline. */
  milliseconds: number;
  /** What the ledger of sends says of it. */
  entry: Pick<LedgerEntry, 'domain' | 'recipient_mask' | 'recipient_hash' | 'target' | 'queued_ms' | 'request_id'>;
}

/** What was decided about a device. */
interface DecidedSend {
  outcome: 'send' | 'already_sent' | 'limit_reached';
  /** The token's row, where the device may have one. */
  made: number | null;
  /** The ledger's. */
  send: number;
  /** Seconds until the device may have one, where it may not now. */
  retry_after: number | null;
}

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
    return (await execute(redeemSql('$1', '$2'), [token, accountId])) === 1;
  }

  /**
   * Decides for each of several devices whether it may be sent a token, and where it may, makes the row, marked `sending`; and the row of the ledger of
   * sends in any case. One call of a function of
   * the database (its migration says more), under all devices' own locks: of any number of requests for one device, in whatever processes, one is decided at a
   * time, and the next sees its row.
   *
   * @param sends of several for one device the first is decided first
   * @param retryMinutes how long an unused token keeps its device from another one
   * @param lifeMinutes after which a token is of no use and keeps nobody any more; 0 = never
   * @param perDay tokens that a device may be sent in 24 hours; 0 = any number
   * @returns of each in its place what was decided, and the row where it may
   */
  static async beginSends(sends: readonly BegunSend[], retryMinutes: number, lifeMinutes: number, perDay: number): Promise<DecidedSend[]> {
    return select(
      `SELECT outcome, made, send, retry_after
         FROM decide_creation_tokens($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::integer[], $8::text[], $9::text[], $10::text[],
                                     $11::text[], $12::integer[], $13::text[], $14::integer, $15::integer, $16::integer) ORDER BY place`,
      [
        sends.map(({ pn_provider }) => pn_provider),
        sends.map(({ pn_param }) => pn_param),
        sends.map(({ pn_prid }) => pn_prid),
        sends.map(({ ip }) => ip),
        sends.map(({ user_agent }) => user_agent ?? null),
        sends.map(({ token }) => token),
        sends.map(({ milliseconds }) => Math.trunc(milliseconds)),
        sends.map(({ entry }) => entry.domain),
        sends.map(({ entry }) => entry.recipient_mask),
        sends.map(({ entry }) => entry.recipient_hash),
        sends.map(({ entry }) => entry.target),
        sends.map(({ entry }) => entry.queued_ms),
        sends.map(({ entry }) => entry.request_id),
        Math.trunc(retryMinutes),
        Math.trunc(lifeMinutes),
        Math.trunc(perDay),
      ],
    );
  }

  /**
   * Makes sent tokens usable whose deadline has not passed. A statement of our own, since it does not wait for rows that somebody has locked: those that did
   * would wait for all.
   *
   * @returns the ids of those that are usable now
   */
  static async markSent(ids: readonly number[]): Promise<number[]> {
    const sent = await select<{ id: number }>(
      `UPDATE account_creation_tokens SET send_state = 'sent', updated_at = now()
        WHERE id IN (SELECT id FROM account_creation_tokens
                      WHERE id = ANY($1::bigint[]) AND send_state = 'sending' AND send_deadline > now() ORDER BY id FOR UPDATE SKIP LOCKED)
       RETURNING id`,
      [ids],
    );
    return sent.map(({ id }) => id);
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
