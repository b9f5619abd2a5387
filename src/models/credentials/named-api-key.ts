// Keys of machines: a row a key with what it may do and how it was used, and a row a secret, of which a key has several while one replaces another.
import {
  ARRAY,
  type Attributes,
  CIDR,
  type CreationOptional,
  type InferAttributes,
  type InferCreationAttributes,
  literal,
  Model,
  type NonAttribute,
  Op,
} from 'sequelize';
import { database, execute, select, selectShared } from '../../infra/sequelize';
import type { Account } from '../accounts/account';
import { accountId, BIGINT, DATE, dated, dates, id, INTEGER, optional, required, TEXT, varchar } from '../columns';
import { NO_KEY_UPDATE, NOW } from '../moments';
import { confine, ofAccountsIn, type Viewer, visibleTo } from '../visibility';
import type { Scope } from './scopes';

/**
 * Why a known key was refused. `rotated`: it is an older secret, whose grace period is over. `account`: what it is for is not for its account, or its account may
 * not act at all.
 */
export type KeyRefusal = 'expired' | 'rotated' | 'address' | 'account' | 'scope';

/** Uses and refusals of a key that are not written yet; moments are null where there were none. */
export interface NamedKeyUses extends Pick<
  Attributes<NamedApiKey>,
  'id' | 'last_used_at' | 'last_used_ip' | 'last_refused_at' | 'last_refused_reason'
> {
  uses: number;
  refusals: number;
}

/** A key that ends, or is refused, as operators hear of it. */
export interface KeyConcern extends Pick<Attributes<NamedApiKey>, 'id' | 'account_id' | 'name' | 'last_refused_reason'> {
  /** Until its end, negative after it; null: it has none. */
  expires_seconds: number | null;
  /** Whether its end is near: in the last fifth of its life, and within a week. */
  ends_soon: boolean;
  /** Since it was last refused, where that was within the last hour. */
  refused_seconds: number | null;
}

/** When a key ends, as SQL; NULL: never. Unused, its time begins with its newest secret. */
const endSql = (of: string): string =>
  `coalesce(${of}.expires_at, greatest(${of}.last_used_at, ${of}.secret_made_at) + make_interval(mins => ${of}.expires_after_last_used_minutes))`;
/** How long its life is in all, as SQL. */
const LIFE_SQL = 'coalesce(k.expires_at - k.secret_made_at, make_interval(mins => k.expires_after_last_used_minutes))';

/** Whoever looks at every key sees those that end first. */
const MAX_CONCERNS = 1000;

export class NamedApiKey extends Model<InferAttributes<NamedApiKey>, InferCreationAttributes<NamedApiKey>> {
  declare id: CreationOptional<number>;
  declare account_id: number;
  /** Unique within the account. */
  declare name: string;
  declare scopes: Scope[];
  /** At most one of the two is set; neither: it never expires. */
  declare expires_at: CreationOptional<Date | null>;
  declare expires_after_last_used_minutes: CreationOptional<number | null>;
  /** Ranges, the least a single address (`/32`, `/128`); null: from anywhere. */
  declare allowed_addresses: CreationOptional<string[] | null>;
  declare secret_made_at: CreationOptional<Date>;
  declare requests: CreationOptional<number>;
  declare last_used_at: CreationOptional<Date | null>;
  declare last_used_ip: CreationOptional<string | null>;
  declare refused_requests: CreationOptional<number>;
  declare last_refused_at: CreationOptional<Date | null>;
  declare last_refused_reason: CreationOptional<KeyRefusal | null>;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;
  /** With the scope `shown`: the account's name, */
  declare account?: NonAttribute<Pick<Account, 'username' | 'domain'>>;
  /** when it ends, null: never, */
  declare ends_at?: NonAttribute<Date | null>;
  /** whether that is past, */
  declare is_expired?: NonAttribute<boolean>;
  /** and until when a secret is good that was replaced; null: none is. */
  declare previous_good_until?: NonAttribute<Date | null>;

  /** Those of some keys that the viewer sees, locked until the transaction ends: of two who change one at once the second sees what the first made of it. */
  static async lock(viewer: Viewer, keyIds: number[]): Promise<NamedApiKey[]> {
    if (keyIds.length === 0) return [];
    return this.scope(visibleTo(viewer)).findAll({ where: { id: keyIds }, order: [['id', 'ASC']], lock: NO_KEY_UPDATE });
  }

  /**
   * Adds uses and refusals to many keys at once. One statement, as of `ApiKey.addUses()`; of two processes the later use counts as the last, and
   * none is later than now, whatever the clock of a process says.
   */
  static async addUses(batch: readonly NamedKeyUses[]): Promise<void> {
    await execute(
      `UPDATE named_api_keys k
          SET requests = k.requests + u.uses,
              last_used_at = greatest(k.last_used_at, CASE WHEN u.used > now() THEN now() ELSE u.used END),
              last_used_ip = CASE WHEN u.used >= coalesce(k.last_used_at, '-infinity') THEN u.ip ELSE k.last_used_ip END,
              refused_requests = k.refused_requests + u.refusals,
              last_refused_at = greatest(k.last_refused_at, CASE WHEN u.refused > now() THEN now() ELSE u.refused END),
              last_refused_reason = CASE WHEN u.refused >= coalesce(k.last_refused_at, '-infinity') THEN u.reason ELSE k.last_refused_reason END
         FROM unnest($1::int[], $2::bigint[], $3::timestamptz[], $4::text[], $5::bigint[], $6::timestamptz[], $7::text[])
           AS u (id, uses, used, ip, refusals, refused, reason)
        WHERE k.id = u.id`,
      [
        batch.map((key) => key.id),
        batch.map((key) => key.uses),
        batch.map((key) => key.last_used_at),
        batch.map((key) => key.last_used_ip),
        batch.map((key) => key.refusals),
        batch.map((key) => key.last_refused_at),
        batch.map((key) => key.last_refused_reason),
      ],
    );
  }

  /**
   * Keys that end some time, and those that were refused within the last hour. Those of super Spaces come first, whatever keys the admins of others make, then
   * those that have not ended, or are shown although they have, and of them the ones that end first. For those who look whether all is well, on their own
   * connections: a statement of our own, since ages are the database's.
   */
  static concerns(): Promise<KeyConcern[]> {
    return selectShared<KeyConcern>(
      'health',
      `SELECT k.id, k.account_id, k.name, k.last_refused_reason,
              extract(epoch FROM k.end_at - now())::float8 AS expires_seconds,
              coalesce(k.end_at > now() AND k.end_at - now() < least(interval '7 days', ${LIFE_SQL} / 5), false) AS ends_soon,
              CASE WHEN k.last_refused_at > now() - interval '1 hour' THEN extract(epoch FROM now() - k.last_refused_at)::float8 END AS refused_seconds
         FROM (SELECT k.*, ${endSql('k')} AS end_at FROM named_api_keys k) k
         JOIN accounts a ON a.id = k.account_id
         JOIN spaces s ON s.domain = a.domain
        WHERE k.end_at IS NOT NULL OR k.last_refused_at > now() - interval '1 hour'
        ORDER BY s.super DESC, k.end_at <= now() AND coalesce(k.last_refused_at <= now() - interval '1 hour', true), k.end_at, k.id
        LIMIT ${MAX_CONCERNS}`,
      [],
    );
  }

  /**
   * Deletes keys that ended so many days ago and were not shown since, and secrets that were replaced so long ago. Until then whoever shows them is told what
   * has become of them.
   *
   * @returns how many keys and secrets
   */
  static async deleteEnded(days: number): Promise<{ named_api_keys: number; named_api_key_secrets: number }> {
    const [deleted] = await select<{ keys: number; secrets: number }>(
      `WITH keys AS (
         DELETE FROM named_api_keys WHERE id IN (
           SELECT k.id FROM named_api_keys k
            WHERE ${endSql('k')} < now() - make_interval(days => $1) AND (k.last_refused_at IS NULL OR k.last_refused_at < now() - make_interval(days => $1))
              FOR UPDATE SKIP LOCKED)
         RETURNING 1),
       secrets AS (
         DELETE FROM named_api_key_secrets WHERE key_hash IN (
           SELECT key_hash FROM named_api_key_secrets WHERE expires_at < now() - make_interval(days => $1) FOR UPDATE SKIP LOCKED)
         RETURNING 1)
       SELECT (SELECT count(*) FROM keys)::int AS keys, (SELECT count(*) FROM secrets)::int AS secrets`,
      [days],
    );
    return { named_api_keys: deleted?.keys ?? 0, named_api_key_secrets: deleted?.secrets ?? 0 };
  }
}
NamedApiKey.init(
  {
    id,
    account_id: accountId,
    name: required(varchar(64)),
    scopes: required(ARRAY(TEXT)),
    expires_at: optional(DATE),
    expires_after_last_used_minutes: optional(INTEGER),
    allowed_addresses: optional(ARRAY(CIDR)),
    secret_made_at: required(DATE, NOW),
    requests: required(BIGINT, 0),
    last_used_at: optional(DATE),
    last_used_ip: optional(varchar(45)),
    refused_requests: required(BIGINT, 0),
    last_refused_at: optional(DATE),
    last_refused_reason: optional(TEXT),
    ...dates,
  },
  { sequelize: database, tableName: 'named_api_keys', ...dated },
);
confine(NamedApiKey, ofAccountsIn);

/** `used`: those that somebody has ever worked with. */
NamedApiKey.addScope('used', { where: { last_used_at: { [Op.ne]: null } } });

const SELF = '"NamedApiKey"';

/** `shown`: with what the API shows beside the columns. */
NamedApiKey.addScope('shown', {
  attributes: {
    include: [
      [literal(endSql(SELF)), 'ends_at'],
      [literal(`coalesce(${endSql(SELF)} <= now(), false)`), 'is_expired'],
      [
        literal(`(SELECT max(s.expires_at) FROM named_api_key_secrets s WHERE s.key_id = ${SELF}.id AND s.expires_at > now())`),
        'previous_good_until',
      ],
    ],
  },
  include: { association: 'account', attributes: ['username', 'domain'] },
});

/** A secret of a key: its hash. */
export class NamedApiKeySecret extends Model<InferAttributes<NamedApiKeySecret>, InferCreationAttributes<NamedApiKeySecret>> {
  /** SHA-256 of the whole key, in hexadecimal. */
  declare key_hash: string;
  declare key_id: number;
  /** null: it is the one in force. */
  declare expires_at: CreationOptional<Date | null>;

  /**
   * Has a secret take the place of those before, which are good for so many minutes more at most. One statement for all of them, in the transaction that makes the
   * new one: `least()` of a column is no condition that Sequelize has.
   */
  static async supersede(keyId: number, graceMinutes: number): Promise<void> {
    await execute('UPDATE named_api_key_secrets SET expires_at = least(expires_at, now() + make_interval(mins => $2)) WHERE key_id = $1', [
      keyId,
      graceMinutes,
    ]);
  }
}
NamedApiKeySecret.init(
  { key_hash: { type: varchar(64) as string, primaryKey: true }, key_id: required(INTEGER), expires_at: optional(DATE) },
  { sequelize: database, tableName: 'named_api_key_secrets', timestamps: false },
);
