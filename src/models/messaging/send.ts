// The ledger: a row for each push, SMS, mail and SIP message. Of mails and SMS about an account the row is made with what they are about, is due until
// a worker has sent them, and has what is to be sent; of all others it is made when a worker takes them.
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
import { database, execute, select, selectShared } from '../../infra/sequelize';
import { BIGINT, DATE, dated, dates, INTEGER, optional, required, SMALLINT, TEXT, varchar, bigId } from '../columns';
import { millisecondsFromNow, NOW, secondsAgo } from '../moments';

/** Why nobody knows what came of a send. */
export const SILENT = 'its worker died, or could not say what came of it';
/** Overdue rows that one transaction closes, and due ones that a sweep finds; the next one goes on. */
const MAX_AT_ONCE = 1000;

/** By what it goes; the name of its queue, but for `message`, whose queue is `messages`. */
export type Channel = 'push' | 'sms' | 'email' | 'message';
/** Channels of which rows are due before a worker has them. */
export type SendChannel = 'email' | 'sms';
/** Of rows that are due. `account_creation`, `account_ready`: no request waits for them. `account_recovery`: one does, and the row has the code. */
export type SendKind = 'account_creation' | 'account_ready' | 'account_recovery';
/** What a send is about. Of pushes: `creation_token`, `notification`; of codes to a new address or number: `email_change`, `phone_change`. */
export type LedgerKind = SendKind | 'creation_token' | 'notification' | 'email_change' | 'phone_change' | 'message';

/** Those that are tried for hours; of others nobody expects anything once their request was answered. */
const PATIENT: SendKind[] = ['account_creation', 'account_ready'];

/** A row that needs a job. */
export interface DueSend {
  id: number;
  channel: SendChannel;
  /** That it has had. */
  attempts: number;
}

/** Whom a send goes to, as the ledger keeps it. */
export interface LedgerRecipient {
  /** Null where none was named. */
  recipient_mask: string | null;
  recipient_hash: string | null;
  /** Of a phone number: ISO 3166-1 alpha-2, where it has a country. */
  country: string | null;
  /** Of a phone number: calling code and three digits behind it, as limits count (`33-612`). */
  phone_prefix: string | null;
}

/** What is known of a send when a worker begins it. */
export interface LedgerEntry extends LedgerRecipient {
  channel: Channel;
  kind: LedgerKind;
  account_id: number | null;
  /** The account's where null. */
  domain: string | null;
  subject_id: number | null;
  provider: string | null;
  target: string | null;
  queued_ms: number | null;
  request_id: string | null;
}

/** What came of a send. */
export interface LedgerEnd {
  state: 'sent' | 'failed' | 'unknown';
  outcome: string;
  reason: string | null;
  last_reason: string | null;
  provider_code: string | null;
  provider_id: string | null;
  provider_ms: number | null;
}

/** A row of the ledger as it is written; `id`: reserved for it before, else a new one. */
export type LedgerRow = LedgerEntry & { id?: number } & ({ state: 'sending' } | (LedgerEnd & { attempts: number }));

/** A row that ends in a way that no worker tells of. */
export type EndedSend = Pick<Attributes<Send>, 'id' | 'channel' | 'state' | 'recipient'>;
const ENDED = ['id', 'channel', 'state', 'recipient'];

/** Rows that one statement looks at for a worker that died. */
const ROWS_PER_LOOK = 10_000;

/** A row that is due, or was: it has what only such rows have. */
export type OwedSend = Send & { channel: SendChannel; kind: SendKind; account_id: number; recipient: string };

export class Send extends Model<InferAttributes<Send>, InferCreationAttributes<Send>> {
  declare id: CreationOptional<number>;
  declare channel: Channel;
  declare kind: LedgerKind;
  /** Where one is known. */
  declare account_id: CreationOptional<number | null>;
  /** Of the Space that it is about: the account's, else the one that the request was for. */
  declare domain: CreationOptional<string | null>;
  /** Id of the code's or token's row that it carries. */
  declare subject_id: CreationOptional<number | null>;
  /** The address or number when it was asked for, while it is due; once the account has another one nothing is sent. Gone with the end. */
  declare recipient: CreationOptional<string | null>;
  /** What people are shown of the recipient. */
  declare recipient_mask: CreationOptional<string | null>;
  /** Keyed hash of the recipient, by which it is searched. */
  declare recipient_hash: CreationOptional<string | null>;
  /** Of a phone number: ISO 3166-1 alpha-2. */
  declare country: CreationOptional<string | null>;
  /** Of a phone number: `+`, calling code and the three digits behind it. */
  declare phone_prefix: CreationOptional<string | null>;
  /** `apns`, `apns.dev`, `fcm`, `twilio`, `smtp`, `linphone-daemon`. */
  declare provider: CreationOptional<string | null>;
  /** Of APNs the topic, of FCM the project. */
  declare target: CreationOptional<string | null>;
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
  /** What came of it, once it has ended: `SendOutcome` of the queues, or why a device may have no push. */
  declare outcome: CreationOptional<string | null>;
  /** Why not: a word of `SEND_REASONS`. */
  declare reason: CreationOptional<string | null>;
  /** The provider's own code. */
  declare provider_code: CreationOptional<string | null>;
  /** Of rows that were due the jobs that they had; of others how often the provider was asked. */
  declare attempts: CreationOptional<number>;
  /** Milliseconds that the last job waited for a worker. */
  declare queued_ms: CreationOptional<number | null>;
  /** Milliseconds for which the provider was asked, pauses between attempts among them. */
  declare provider_ms: CreationOptional<number | null>;
  /** What the provider calls it, and names when it tells of its delivery. */
  declare provider_id: CreationOptional<string | null>;
  /** What the provider told later. */
  declare delivery: CreationOptional<'delivered' | 'undelivered' | null>;
  declare delivered_at: CreationOptional<Date | null>;
  /** When the code that it carried was entered, or its token used. */
  declare converted_at: CreationOptional<Date | null>;
  /** Of rows that are due: when their next attempt is. */
  declare next_at: CreationOptional<Date | null>;
  /** Nothing is begun after it. */
  declare expires_at: CreationOptional<Date | null>;
  /** Until when the worker that has it must have said what came of it. */
  declare lease_until: CreationOptional<Date | null>;
  declare ended_at: CreationOptional<Date | null>;
  /** Why not, in words. */
  declare last_reason: CreationOptional<string | null>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;

  /** For a new row: the Space of its account, which the same statement finds. */
  static domainOf(accountId: number): string {
    return literal(`(SELECT domain FROM accounts WHERE id = ${Math.trunc(accountId)})`) as unknown as string;
  }

  /** Locks a row whose turn it is, until the transaction ends; of several workers one gets it. @returns null where it is gone, not due, or locked */
  static lockDue(id: Attributes<Send>['id'], channel: SendChannel): Promise<OwedSend | null> {
    const found: Promise<unknown> = this.scope('due').findOne({ where: { id, channel }, lock: true, skipLocked: true });
    return found as Promise<OwedSend | null>;
  }

  /** What is due and may have no job: whoever made it has had the time to add one. */
  static findForgotten(): Promise<DueSend[]> {
    const found: Promise<unknown> = this.scope(['due', 'forgotten']).findAll({
      attributes: ['id', 'channel', 'attempts'],
      order: ['next_at'],
      limit: MAX_AT_ONCE,
      raw: true,
    });
    return found as Promise<DueSend[]>;
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
   * Rows whose time is over, locked: `expired`: never taken, or put back; `silent`: taken by a worker that said nothing within its lease, so that they may have
   * been sent; `unclean`: ended by the release before, which leaves in a row what was to be sent.
   */
  static async findToEnd(which: 'expired' | 'silent' | 'unclean'): Promise<EndedSend[]> {
    const scopes = which === 'expired' ? [which] : [which, 'codeless'];
    return this.scope(scopes).findAll({ attributes: ENDED, limit: MAX_AT_ONCE, lock: true, skipLocked: true, raw: true });
  }

  /** Those of them that have a recovery code which may have arrived. Not locked: their accounts come first. */
  static async findWithCodes(which: 'silent' | 'unclean'): Promise<{ id: number; account_id: number }[]> {
    const found: Promise<unknown> = this.scope([which, 'coded']).findAll({
      attributes: ['id', 'account_id'],
      limit: MAX_AT_ONCE,
      raw: true,
    });
    return found as Promise<{ id: number; account_id: number }[]>;
  }

  /** Locks such a row, or one that no worker has taken, whether or not its time is over. @returns null where it is none any more */
  static async lockToEnd(which: 'silent' | 'unclean' | 'untaken', id: number): Promise<EndedSend | null> {
    return this.scope(which).findOne({ attributes: ENDED, where: { id }, lock: true, raw: true });
  }

  /**
   * Ends rows, and takes out what is not kept of them; in the transaction that has locked them. What they say of how they ended stays.
   *
   * @param rows each with the columns of its recipient, where they are not in the row yet
   */
  static async close(
    rows: readonly ({ id: number } & Pick<LedgerEnd, 'state' | 'outcome'> &
      Pick<LedgerEnd, 'reason' | 'last_reason'> &
      Partial<LedgerRecipient>)[],
  ): Promise<void> {
    if (rows.length === 0) return;
    await execute(
      `UPDATE sends s SET state = g.state, outcome = coalesce(s.outcome, g.outcome), reason = coalesce(s.reason, g.reason),
              last_reason = coalesce(s.last_reason, g.last_reason), recipient_mask = coalesce(s.recipient_mask, g.recipient_mask),
              recipient_hash = coalesce(s.recipient_hash, g.recipient_hash), country = coalesce(s.country, g.country),
              phone_prefix = coalesce(s.phone_prefix, g.phone_prefix), recipient = NULL, code = NULL, key_digest = NULL, next_at = NULL,
              lease_until = NULL, ended_at = coalesce(s.ended_at, now()), updated_at = now()
         FROM json_populate_recordset(NULL::sends, $1::json) g WHERE s.id = g.id AND s.id = ANY ($2::bigint[])`,
      [JSON.stringify(rows), rows.map(({ id }) => id)],
    );
  }

  /**
   * Ends rows without a lease that a worker began and said nothing of: all that were made within a time, looked at a piece at a time. Each row needs to be
   * looked at once, when whoever sent it has had the time to say so: no index tells which are not ended, since their end would have to change it.
   *
   * @param after a moment as PostgreSQL writes it; a number: so many seconds ago
   * @param seconds rows that are younger are left
   * @returns how many ended, and up to when all were looked at; `isAll`: there are no others
   */
  static async endAbandoned(after: string | number, seconds: number): Promise<{ ended: number; last: string; isAll: boolean }> {
    const [piece] = await select<{ ended: number; seen: number; last: string | null; until: string }>(
      `WITH bounds AS MATERIALIZED (SELECT now() - make_interval(secs => $2) AS until),
            piece AS MATERIALIZED (
              SELECT id, state, lease_until, created_at FROM sends
               WHERE created_at > ${typeof after === 'number' ? 'now() - make_interval(secs => $1)' : '$1::timestamptz'}
                 AND created_at <= now() - make_interval(secs => $2) ORDER BY created_at LIMIT ${ROWS_PER_LOOK}),
            ended AS (
              UPDATE sends SET state = 'unknown', outcome = 'unknown', reason = 'error', last_reason = '${SILENT}', recipient = NULL, ended_at = now(),
                     updated_at = now()
               WHERE id = ANY (ARRAY (SELECT id FROM piece WHERE state = 'sending' AND lease_until IS NULL))
                 AND state = 'sending' AND lease_until IS NULL RETURNING 1)
       SELECT (SELECT count(*) FROM ended)::integer AS ended, count(*)::integer AS seen, max(created_at)::text AS last,
              (SELECT until FROM bounds)::text AS until FROM piece`,
      [after, seconds],
    );
    if (!piece) return { ended: 0, last: String(after), isAll: true };
    const isAll = piece.seen < ROWS_PER_LOOK;
    return { ended: piece.ended, last: isAll ? piece.until : (piece.last ?? piece.until), isAll };
  }

  /** Ids for rows that are made later. */
  static async reserveIds(count: number): Promise<number[]> {
    const ids = await select<{ id: number }>("SELECT nextval('sends_ids') AS id FROM generate_series(1, $1::integer)", [count]);
    return ids.map(({ id }) => id);
  }

  /**
   * Writes rows of the ledger, none twice that has an id; joins the transaction around it. An account that is gone is not named any more.
   *
   * @returns their ids; fewer than there were rows where some were there already
   */
  static async record(rows: readonly LedgerRow[]): Promise<number[]> {
    const made = await select<{ id: number }>(
      `INSERT INTO sends (id, channel, kind, account_id, domain, subject_id, recipient_mask, recipient_hash, country, phone_prefix, provider, target, request_id,
                          state, outcome, reason, last_reason, provider_code, provider_id, attempts, queued_ms, provider_ms, next_at, ended_at)
       SELECT coalesce(g.id, nextval('sends_ids')), g.channel, g.kind, a.id, coalesce(g.domain, a.domain), g.subject_id, g.recipient_mask, g.recipient_hash,
              g.country, g.phone_prefix, g.provider, g.target, g.request_id, g.state, g.outcome, g.reason, g.last_reason, g.provider_code, g.provider_id,
              coalesce(g.attempts, 0), g.queued_ms, g.provider_ms, NULL, CASE WHEN g.state <> 'sending' THEN now() END
         FROM json_populate_recordset(NULL::sends, $1::json) g LEFT JOIN accounts a ON a.id = g.account_id
        WHERE g.id IS NULL OR NOT EXISTS (SELECT 1 FROM sends s WHERE s.id = g.id)
       RETURNING id`,
      [JSON.stringify(rows)],
    );
    return made.map(({ id }) => id);
  }

  /**
   * Writes what came of sends that were begun within the last day; also of those that were given up for dead meanwhile. On connections that look-ups do not
   * use, and in no transaction. @returns the ids of those that were there
   */
  static async finish(ends: readonly (LedgerEnd & { id: number; attempts: number })[]): Promise<Set<number>> {
    const found = await selectShared<{ id: number }>(
      'reports',
      `UPDATE sends s SET state = g.state, outcome = g.outcome, reason = g.reason, last_reason = g.last_reason, provider_code = coalesce(g.provider_code, s.provider_code),
              provider_id = g.provider_id, attempts = g.attempts, provider_ms = g.provider_ms, ended_at = now(), updated_at = now()
         FROM json_populate_recordset(NULL::sends, $1::json) g
        WHERE s.id = g.id AND s.created_at > now() - interval '1 day' AND s.state IN ('sending', 'unknown')
       RETURNING s.id`,
      [JSON.stringify(ends)],
    );
    return new Set(found.map(({ id }) => id));
  }

  /** Marks the send of a change code that was entered. */
  static async convertCode(account_id: number, kind: 'email_change' | 'phone_change', subject_id: number): Promise<void> {
    await this.update({ converted_at: NOW }, { where: { account_id, kind, subject_id, converted_at: null } });
  }

  /** Marks the send of an account's key that was entered: of a recovery code that a row has itself, else the last one that may have brought the key. */
  static async convertKey(account_id: number, code: Send | undefined): Promise<void> {
    const where = {
      account_id,
      kind: ['account_creation', 'account_recovery'] as LedgerKind[],
      state: ['sent', 'unknown'] as Send['state'][],
    };
    const sent = code ?? (await this.findOne({ attributes: ['id'], where, order: [['id', 'DESC']] }));
    if (sent) await this.update({ converted_at: NOW }, { where: { id: sent.id, converted_at: null } });
  }

  /**
   * What a provider tells later of a message that it took. The last word is what counts, in whatever order they come: a message that was delivered is.
   *
   * @returns whether there is such a message
   */
  static async recordDelivery(
    id: number,
    provider_id: string,
    delivery: 'delivered' | 'undelivered',
    provider_code: string | null,
  ): Promise<boolean> {
    const changed = await execute(
      `UPDATE sends SET delivery = $3, delivered_at = CASE WHEN $3 = 'delivered' THEN now() END, provider_code = coalesce($4, provider_code),
              updated_at = now()
        WHERE id = $1 AND channel = 'sms' AND state <> 'due' AND (provider_id IS NULL OR provider_id = $2) AND (delivery IS NULL OR delivery = 'undelivered')`,
      [id, provider_id, delivery, provider_code],
    );
    return changed > 0;
  }

  /** Takes a due row that is locked. */
  async take(leaseMs: number, entry: LedgerRecipient & Pick<LedgerEntry, 'domain' | 'provider' | 'queued_ms'>): Promise<void> {
    await this.update({
      ...entry,
      provider_code: null,
      state: 'sending',
      attempts: this.attempts + 1,
      next_at: null,
      lease_until: millisecondsFromNow(leaseMs),
    });
  }

  /** Ends a row. Nobody has `code` any more, but for whom it was moved to; nor does the row say in full whom it was for. */
  async end({ provider_code, ...report }: LedgerEnd): Promise<void> {
    await this.update({
      ...report,
      // The provider may have told of it already.
      ...(provider_code === null ? {} : { provider_code }),
      recipient: null,
      key_digest: null,
      code: null,
      next_at: null,
      lease_until: null,
      ended_at: NOW,
    });
  }

  /**
   * Puts a row back whose message was certainly not sent.
   *
   * @param attempts how many it has had
   * @returns whether it has another turn before it expires; where it has none it has ended
   */
  async postpone(milliseconds: number, attempts: number, report: LedgerEnd): Promise<boolean> {
    const { reason, last_reason, provider_code, provider_ms } = report;
    const [postponed] = await Send.update(
      {
        state: 'due',
        attempts,
        next_at: millisecondsFromNow(milliseconds),
        lease_until: null,
        reason,
        last_reason,
        provider_code,
        provider_ms,
      },
      { where: { id: this.id, expires_at: { [Op.gt]: millisecondsFromNow(milliseconds) } } },
    );
    if (postponed === 0) await this.end(report);
    return postponed === 1;
  }

  /** Whether it is tried for hours. */
  get isPatient(): NonAttribute<boolean> {
    return (PATIENT as LedgerKind[]).includes(this.kind);
  }
}
Send.init(
  {
    id: bigId,
    channel: required(TEXT),
    kind: required(TEXT),
    account_id: optional(INTEGER),
    domain: optional(varchar(255)),
    subject_id: optional(BIGINT),
    recipient: optional(varchar(255)),
    recipient_mask: optional(varchar(255)),
    recipient_hash: optional(varchar(64)),
    country: optional(varchar(2)),
    phone_prefix: optional(varchar(16)),
    provider: optional(TEXT),
    target: optional(varchar(255)),
    key_digest: optional(varchar(64)),
    code: optional(varchar(14)),
    guesses: required(SMALLINT, 0),
    language: required(varchar(2), 'en'),
    request_id: optional(TEXT),
    state: required(TEXT, 'due'),
    outcome: optional(TEXT),
    reason: optional(TEXT),
    provider_code: optional(varchar(64)),
    attempts: required(SMALLINT, 0),
    queued_ms: optional(INTEGER),
    provider_ms: optional(INTEGER),
    provider_id: optional(varchar(64)),
    delivery: optional(TEXT),
    delivered_at: optional(DATE),
    converted_at: optional(DATE),
    next_at: { ...optional(DATE), defaultValue: NOW },
    expires_at: optional(DATE),
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
      untaken: { where: { state: 'due' } },
      coded: { where: { kind: 'account_recovery', code: { [Op.ne]: null }, account_id: { [Op.ne]: null } } },
      codeless: { where: { [Op.or]: [{ kind: { [Op.ne]: 'account_recovery' } }, { code: null }, { account_id: null }] } },
      unclean: { where: { state: ['sent', 'failed', 'unknown'], next_at: { [Op.ne]: null } } },
    },
  },
);
