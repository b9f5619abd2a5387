// Codes sent to a new email address or phone number. Two tables of one form: what holds for one holds for the other, so both have the
// methods and scopes of ChangeCode, and CHANGE_CODES names the table of a channel.
import {
  type Attributes,
  type CreationOptional,
  type InferAttributes,
  type InferCreationAttributes,
  literal,
  Model,
  type ModelScopeOptions,
  type NonAttribute,
  Op,
} from 'sequelize';
import { inTransaction } from '../../infra/database';
import { database, select } from '../../infra/sequelize';
import {
  accountId,
  BOOLEAN,
  client,
  dated,
  dates,
  bigId,
  optional,
  required,
  sending,
  type SendState,
  SMALLINT,
  varchar,
} from '../columns';
import { NOW, overdue, secondsAgo } from '../moments';

/** Overdue rows that one transaction closes; the sweep comes again. */
const MAX_CLOSED_AT_ONCE = 1000;

/** What a code is sent by. Also the attribute that holds where it is sent to. */
export type Channel = 'email' | 'phone';

/** What the column holds. */
const MAX_ATTEMPTS_COUNTED = 32_767;

/** `code` is null once it was redeemed, is void, or a newer one has taken its place. */
export class ChangeCode extends Model<InferAttributes<ChangeCode>, InferCreationAttributes<ChangeCode>> {
  declare id: CreationOptional<number>;
  declare account_id: number;
  declare code: CreationOptional<string | null>;
  /** Of the two, a table has the one that its channel names. */
  declare email?: string;
  declare phone?: string;
  declare attempts: CreationOptional<number>;
  declare language: CreationOptional<string>;
  /** Whether an admin of a Space was shown the code. */
  declare shown: CreationOptional<boolean>;
  declare ip: CreationOptional<string | null>;
  declare user_agent: CreationOptional<string | null>;
  declare send_state: CreationOptional<SendState | null>;
  declare send_deadline: CreationOptional<Date | null>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;

  /** The address or number that it goes to. */
  get recipient(): NonAttribute<string> {
    return this.email ?? this.phone ?? '';
  }

  /** Whether it is too old; of a code that findPending() gave. */
  get expired(): NonAttribute<boolean> {
    return this.get('expired');
  }

  /** Takes a due row for sending, once: of several workers one gets it. @returns null where it is gone, void, too late, or another worker's */
  static async claim(rowId: number): Promise<ChangeCode | null> {
    const [, [claimed]] = await this.scope(['due', 'unredeemed']).update(
      { send_state: 'sending' },
      { where: { id: rowId }, returning: true },
    );
    return claimed ?? null;
  }

  /**
   * Records that a code was sent: it counts from now on, and makes those before it void. Inside a transaction. One that no worker has taken yet
   * is left: its request still waits, and would be told that nothing could be sent.
   */
  static async recordSent({ id: rowId, account_id }: Pick<Attributes<ChangeCode>, 'id' | 'account_id'>): Promise<void> {
    await this.update({ send_state: 'sent' }, { where: { id: rowId } });
    await this.scope(['unredeemed', 'begun']).update({ code: null }, { where: { account_id, id: { [Op.lt]: rowId } } });
  }

  /**
   * The codes that an account may redeem, newest first: while the newest is under way the one before it is still good.
   *
   * @param expiryMinutes 0 = they never expire
   * @returns two at most; `expired` says which are too old, by the database's clock
   */
  static findPending(account_id: number, expiryMinutes: number): Promise<ChangeCode[]> {
    const expired = expiryMinutes === 0 ? 'false' : `created_at <= now() - make_interval(mins => ${Math.trunc(expiryMinutes)})`;
    return this.scope(['unredeemed', 'begun']).findAll({
      attributes: { include: [[literal(`(${expired})`), 'expired']] },
      where: { account_id },
      order: [['id', 'DESC']],
      limit: 2,
    });
  }

  /** Counts a wrong code for each of the rows; at `maxAttempts` a row is void. */
  static async countWrongAttempt(ids: number[], maxAttempts: number): Promise<void> {
    await this.update(
      {
        attempts: literal(`least(attempts, ${MAX_ATTEMPTS_COUNTED - 1}) + 1`),
        code: literal(`CASE WHEN attempts >= ${Math.trunc(maxAttempts) - 1} THEN NULL ELSE code END`),
      },
      { where: { id: ids } },
    );
  }

  /**
   * Closes rows whose deadline has passed: never begun → deleted, as if it had not been asked for; begun by a worker that died → it may have been
   * sent, so it stays valid. @returns how many rows
   */
  static async closeOverdue(): Promise<number> {
    // Rows that somebody redeems at this moment are left for the next time: waiting for them could be a wait for one another.
    const some = (state: SendState): Promise<number[]> =>
      this.findAll({
        attributes: ['id'],
        where: { send_state: state, ...overdue() },
        limit: MAX_CLOSED_AT_ONCE,
        lock: true,
        skipLocked: true,
        raw: true,
      }).then((rows) => rows.map(({ id: rowId }) => rowId));
    return inTransaction(async () => {
      const deleted = await this.destroy({ where: { id: await some('due') } });
      // Silent: for the account's owner nothing has changed.
      const [failed] = await this.update({ send_state: 'failed' }, { where: { id: await some('sending') }, silent: true });
      return deleted + failed;
    });
  }
}

const scopes: ModelScopeOptions<Attributes<ChangeCode>> = {
  /** Waits for a worker, and the request that asked for it still waits. */
  due: { where: { send_state: 'due', send_deadline: { [Op.gt]: NOW } } },
  /** Old enough for the process that made it to have added its job by now. */
  stale: { where: { created_at: { [Op.lt]: secondsAgo(2) } } },
  /** Neither used nor void. */
  unredeemed: { where: { code: { [Op.ne]: null } } },
  /** A worker has taken it, so it may have reached the person. */
  begun: { where: { send_state: { [Op.or]: [null, { [Op.ne]: 'due' }] } } },
};

/** Gives a channel's model its table. */
function initialize(model: typeof ChangeCode, channel: Channel): void {
  model.init(
    {
      id: bigId,
      account_id: accountId,
      code: optional(varchar(255)),
      [channel]: required(varchar(255)),
      attempts: required(SMALLINT, 0),
      language: required(varchar(2), 'en'),
      shown: required(BOOLEAN, false),
      ...client,
      ...sending,
      ...dates,
    },
    { sequelize: database, tableName: `${channel}_change_codes`, ...dated, scopes },
  );
}

/** Codes sent by mail to a new address. */
export class EmailChangeCode extends ChangeCode {}
initialize(EmailChangeCode, 'email');

/** Codes sent by SMS to a new number. */
export class PhoneChangeCode extends ChangeCode {}
initialize(PhoneChangeCode, 'phone');

/** The model of a channel's codes. */
export const CHANGE_CODES: Readonly<Record<Channel, typeof ChangeCode>> = { email: EmailChangeCode, phone: PhoneChangeCode };

/**
 * Counts what an account asked for lately: codes of all kinds, and its own last change. One statement of our own, since it looks at four
 * tables and every request for a code begins with it.
 */
export async function countRecentRequests(account_id: number, minutes: number): Promise<number> {
  const recent = (table: string): string =>
    `(SELECT count(*) FROM ${table} WHERE account_id = a.id AND created_at > now() - make_interval(mins => $2))`;
  const [account] = await select<{ events: number }>(
    `SELECT (${recent('email_change_codes')} + ${recent('phone_change_codes')} + ${recent('recovery_codes')}
             + (coalesce(a.updated_at > now() - make_interval(mins => $2), false))::integer)::integer AS events FROM accounts a WHERE a.id = $1`,
    [account_id, minutes],
  );
  return account?.events ?? 0;
}
