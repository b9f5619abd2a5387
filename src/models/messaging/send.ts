// A mail or SMS about an account on its way: its row is made with what it is about, and says what became of it.
import {
  type Attributes,
  type CreationOptional,
  type InferAttributes,
  type InferCreationAttributes,
  literal,
  Model,
  type NonAttribute,
  Op,
} from 'sequelize';
import { inTransaction } from '../../infra/database';
import { database } from '../../infra/sequelize';
import { accountId, DATE, dated, dates, optional, required, SMALLINT, TEXT, varchar, bigId } from '../columns';
import { millisecondsFromNow, NOW, secondsAgo } from '../moments';

/** Overdue rows that one transaction closes, and due ones that a sweep finds; the next one goes on. */
const MAX_AT_ONCE = 1000;

/** The queue that carries it. */
export type SendChannel = 'email' | 'sms';
/** `account_creation`, `account_ready`: no request waits for them. `account_recovery`: one does, and the row has the code. */
export type SendKind = 'account_creation' | 'account_ready' | 'account_recovery';

/** Those that are tried for hours; of others nobody expects anything once their request was answered. */
const PATIENT: SendKind[] = ['account_creation', 'account_ready'];

export class Send extends Model<InferAttributes<Send>, InferCreationAttributes<Send>> {
  declare id: CreationOptional<number>;
  declare channel: SendChannel;
  declare kind: SendKind;
  declare account_id: number;
  /** The address or number when it was asked for; once the account has another one nothing is sent. */
  declare recipient: string;
  /** Of the account's key that it carries, where it does: once the account has another one, or none, nothing is sent. */
  declare key_digest: CreationOptional<string | null>;
  /** A code that is good by this row alone: until it was sent, when it becomes the account's key, or is void. */
  declare code: CreationOptional<string | null>;
  /** Wrong ones that were tried for `code`. */
  declare guesses: CreationOptional<number>;
  declare language: string;
  declare request_id: CreationOptional<string | null>;
  /** `due`: waits for its next attempt; `sending`: a worker has it; `unknown`: it may have arrived, and is never sent again. */
  declare state: CreationOptional<'due' | 'sending' | 'sent' | 'failed' | 'unknown'>;
  declare attempts: CreationOptional<number>;
  declare next_at: CreationOptional<Date>;
  /** Nothing is begun after it. */
  declare expires_at: Date;
  /** Until when the worker that has it must have said what came of it. */
  declare lease_until: CreationOptional<Date | null>;
  declare ended_at: CreationOptional<Date | null>;
  declare last_reason: CreationOptional<string | null>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;

  /** Locks a row whose turn it is, until the transaction ends; of several workers one gets it. @returns null where it is gone, not due, or locked */
  static lockDue(id: Attributes<Send>['id'], channel: SendChannel): Promise<Send | null> {
    return this.scope('due').findOne({ where: { id, channel }, lock: true, skipLocked: true });
  }

  /** What is due and may have no job: whoever made it has had the time to add one. */
  static findForgotten(): Promise<Pick<Attributes<Send>, 'id' | 'channel' | 'attempts'>[]> {
    return this.scope(['due', 'forgotten']).findAll({
      attributes: ['id', 'channel', 'attempts'],
      order: ['next_at'],
      limit: MAX_AT_ONCE,
      raw: true,
    });
  }

  /** Recovery codes that an account may redeem, newest first: those that may have reached the person. Two at most. */
  static findPendingCodes(account_id: number): Promise<Send[]> {
    return this.scope('redeemable').findAll({ where: { account_id }, order: [['id', 'DESC']], limit: 2 });
  }

  /** Makes an account's recovery codes void; one that no worker has taken yet is left, since its request still waits. */
  static async voidCodes(account_id: number): Promise<void> {
    await this.scope('redeemable').update({ code: null }, { where: { account_id } });
  }

  /** Counts a wrong code for each of the rows; at `maxGuesses` a row's code is void. */
  static async countWrongGuess(ids: number[], maxGuesses: number): Promise<void> {
    await this.update(
      {
        guesses: literal('guesses + 1'),
        code: literal(`CASE WHEN guesses + 1 >= ${Math.trunc(maxGuesses)} THEN NULL ELSE code END`),
      },
      { where: { id: ids } },
    );
  }

  /**
   * Closes rows whose time is over: never taken → failed; taken by a worker that said nothing within its lease → unknown, since it may have been
   * sent. @returns how many of each
   */
  static async closeOverdue(): Promise<{ expired: number; unknown: number }> {
    const some = async (scope: 'expired' | 'silent'): Promise<number[]> =>
      (await this.scope(scope).findAll({ attributes: ['id'], limit: MAX_AT_ONCE, lock: true, skipLocked: true, raw: true })).map(
        ({ id }) => id,
      );
    return inTransaction(async () => {
      const [expired] = await this.update(
        { state: 'failed', code: null, ended_at: NOW, last_reason: literal("coalesce(last_reason, 'expired')") },
        { where: { id: await some('expired') } },
      );
      const [unknown] = await this.update(
        { state: 'unknown', ended_at: NOW, last_reason: 'its worker died, or could not say what came of it' },
        { where: { id: await some('silent') } },
      );
      return { expired, unknown };
    });
  }

  /** Takes a due row that is locked. */
  async take(leaseMs: number): Promise<void> {
    await this.update({ state: 'sending', attempts: this.attempts + 1, lease_until: millisecondsFromNow(leaseMs) });
  }

  /** Ends a row. Nobody has `code` any more, but for whom it was moved to. */
  async end(state: 'sent' | 'failed' | 'unknown', reason: string | null): Promise<void> {
    await this.update({ state, code: null, ended_at: NOW, lease_until: null, last_reason: reason });
  }

  /**
   * Puts a row back whose message was certainly not sent.
   *
   * @param attempts how many it has had
   * @returns whether it has another turn before it expires; where it has none it is failed
   */
  async postpone(milliseconds: number, attempts: number, reason: string | null): Promise<boolean> {
    const [, [row]] = await Send.update(
      {
        state: literal(
          `CASE WHEN now() + ${Math.trunc(milliseconds)} * interval '1 millisecond' < expires_at THEN 'due' ELSE 'failed' END`,
        ),
        attempts,
        next_at: millisecondsFromNow(milliseconds),
        lease_until: null,
        last_reason: reason,
      },
      { where: { id: this.id }, returning: true },
    );
    return row?.state === 'due';
  }

  /** Whether it is tried for hours. */
  get isPatient(): NonAttribute<boolean> {
    return PATIENT.includes(this.kind);
  }
}
Send.init(
  {
    id: bigId,
    channel: required(TEXT),
    kind: required(TEXT),
    account_id: accountId,
    recipient: required(varchar(255)),
    key_digest: optional(varchar(64)),
    code: optional(varchar(14)),
    guesses: required(SMALLINT, 0),
    language: required(varchar(2), 'en'),
    request_id: optional(TEXT),
    state: required(TEXT, 'due'),
    attempts: required(SMALLINT, 0),
    next_at: required(DATE, NOW),
    expires_at: required(DATE),
    lease_until: optional(DATE),
    ended_at: optional(DATE),
    last_reason: optional(TEXT),
    ...dates,
  },
  {
    sequelize: database,
    tableName: 'sends',
    ...dated,
    scopes: {
      due: { where: { state: 'due', next_at: { [Op.lte]: NOW }, expires_at: { [Op.gt]: NOW } } },
      forgotten: { where: { kind: PATIENT, next_at: { [Op.lt]: secondsAgo(2) } } },
      redeemable: { where: { kind: 'account_recovery', code: { [Op.ne]: null }, state: { [Op.ne]: 'due' } } },
      expired: { where: { state: 'due', expires_at: { [Op.lte]: NOW } } },
      silent: { where: { state: 'sending', lease_until: { [Op.lt]: NOW } } },
    },
  },
);
