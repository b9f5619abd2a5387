// When the rows of each table are over that time alone makes superfluous, and deleting them: a little at a time, so that no request waits for
// it. Statements of our own: DELETE knows neither LIMIT nor SKIP LOCKED in Sequelize.
import { execute } from '../infra/sequelize';

const DAY_MINUTES = 24 * 60;
const BATCH_ROWS = 1000;
/** A run ends after so many statements for a table; the next one goes on. */
const MAX_BATCHES = 500;

/** How long rows are wanted, in minutes, as the settings say it; 0 = for ever. */
export interface Lifetimes {
  /** Of account creation tokens and of the request tokens before them. */
  creationToken: number;
  /** How long a token that was sent counts for its device. */
  device: number;
  provisioningToken: number;
  emailCode: number;
  phoneCode: number;
  authToken: number;
  nonce: number;
  /** How far back requests for codes count towards blocking. */
  blocking: number;
}

/** Rows that are over. */
interface Ended {
  table: string;
  /** SQL; `t` is the table. */
  where: string;
  /** Goes by an index with the oldest first. */
  order: string;
}

const olderThan = (minutes: number): string => `t.created_at < now() - make_interval(mins => ${Math.trunc(minutes)})`;
/** A lifetime of 0 never ends. */
const expired = (lifeMinutes: number, keptMinutes: number): string =>
  lifeMinutes === 0 ? 'false' : olderThan(Math.max(lifeMinutes, keptMinutes));

/** What is over by age, by the name under which the log counts it; each row's end is described in docs/data-model.md. */
function byAge(lives: Lifetimes): Record<string, Ended> {
  const counted = Math.max(lives.blocking, DAY_MINUTES);
  const codes = (table: string, lifeMinutes: number): Ended => ({
    table,
    where: `${olderThan(counted)} AND (t.code IS NULL OR ${expired(lifeMinutes, counted)})`,
    order: 'created_at',
  });
  // What nobody validated goes after a day; where tokens live shorter, it is of no use before that.
  const pendingMinutes = lives.creationToken === 0 ? DAY_MINUTES : Math.min(lives.creationToken, DAY_MINUTES);
  return {
    nonces: { table: 'nonces', where: olderThan(lives.nonce), order: 'created_at' },
    email_change_codes: codes('email_change_codes', lives.emailCode),
    phone_change_codes: codes('phone_change_codes', lives.phoneCode),
    // Imported ones; none can be redeemed here.
    recovery_codes: { table: 'recovery_codes', where: olderThan(counted), order: 'created_at' },
    auth_tokens: { table: 'auth_tokens', where: olderThan(lives.authToken), order: 'created_at' },
    creation_tokens: {
      table: 'account_creation_tokens',
      where: `NOT t.used AND ${expired(lives.creationToken, Math.max(lives.device, DAY_MINUTES))}`,
      order: 'created_at',
    },
    request_tokens: {
      table: 'account_creation_request_tokens',
      where: `${olderThan(pendingMinutes)} AND (
        CASE WHEN t.used THEN ${olderThan(DAY_MINUTES)} WHEN t.validated_at IS NULL THEN true ELSE ${expired(lives.creationToken, 0)} END)`,
      order: 'created_at',
    },
    // A token that a newer one has superseded is not that account's newest unused one, and so opens nothing.
    provisioning_tokens: {
      table: 'provisioning_tokens',
      where: `${olderThan(DAY_MINUTES)} AND (t.used OR ${expired(lives.provisioningToken, lives.provisioningToken + DAY_MINUTES)}
        OR EXISTS (SELECT 1 FROM provisioning_tokens o WHERE o.account_id = t.account_id AND NOT o.used AND o.id > t.id))`,
      order: 'created_at',
    },
  };
}

/** Deletes some rows that nobody else has locked. */
const deleteSome = ({ table, where, order }: Ended, limit: number): Promise<number> =>
  execute(
    `DELETE FROM ${table} WHERE id = ANY (ARRAY(SELECT t.id FROM ${table} t WHERE ${where} ORDER BY t.${order} LIMIT $1 FOR UPDATE SKIP LOCKED))`,
    [limit],
  );

async function deleteAll(ended: Ended): Promise<number> {
  let deleted = 0;
  for (let batches = 0; batches < MAX_BATCHES; batches += 1) {
    const some = await deleteSome(ended, BATCH_ROWS);
    deleted += some;
    if (some < BATCH_ROWS) break;
  }
  return deleted;
}

/** Deletes what is over by age, in any number of workers at once. @returns how many rows, by kind */
export async function deleteEnded(lives: Lifetimes): Promise<Record<string, number>> {
  const deleted: Record<string, number> = {};
  for (const [kind, ended] of Object.entries(byAge(lives))) deleted[kind] = await deleteAll(ended);
  return deleted;
}

/** Tables that strangers fill without an account, and which of their rows nobody has done anything with yet. */
const STRANGERS = {
  request_tokens: { table: 'account_creation_request_tokens', where: 'NOT t.used AND t.validated_at IS NULL', order: 'id' },
  auth_tokens: { table: 'auth_tokens', where: 't.account_id IS NULL', order: 'id' },
} satisfies Record<string, Ended>;

/**
 * Deletes the oldest rows that strangers have made where there are more than `limit`: whoever fills a table from many addresses drives out what is
 * old, most of it their own, and locks nobody out.
 */
export async function trimStrangers(limit: number): Promise<Record<keyof typeof STRANGERS, number>> {
  const trim = ({ table, where, order }: Ended): Promise<number> =>
    deleteAll({
      table,
      where: `${where} AND t.id <= (SELECT t.id FROM ${table} t WHERE ${where} ORDER BY t.id DESC OFFSET ${Math.trunc(limit)} LIMIT 1)`,
      order,
    });
  return { request_tokens: await trim(STRANGERS.request_tokens), auth_tokens: await trim(STRANGERS.auth_tokens) };
}
