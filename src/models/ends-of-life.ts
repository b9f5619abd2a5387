// When the rows of each table are over that time alone makes superfluous, and deleting them: a little at a time, so that no request waits for
// it. Statements of our own: DELETE knows neither LIMIT nor SKIP LOCKED in Sequelize.
import { eachPart } from '../infra/parts';
import { execute, select } from '../infra/sequelize';

const DAY_MINUTES = 24 * 60;
/** What operators did to queues. */
const QUEUE_ACTIONS_DAYS = 365;
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
  /** Of rows of the ledger of sends, after their making. */
  send: number;
  /** How far back requests for codes count towards blocking. */
  blocking: number;
}

/** Rows that are over; found by an index with the oldest first, whose condition, where it has one, is `of`. */
interface Ended {
  table: string;
  /** SQL, as `where` is; `t` is the table. */
  of?: string;
  where: string;
  order: 'created_at' | 'id' | 'retry_until' | 'send_deadline';
}

const olderThan = (minutes: number): string => `t.created_at < now() - make_interval(mins => ${Math.trunc(minutes)})`;
/** A lifetime of 0 never ends. */
const expired = (lifeMinutes: number, keptMinutes: number): string =>
  lifeMinutes === 0 ? 'false' : olderThan(Math.max(lifeMinutes, keptMinutes));

/** What is over by age, by the name under which the log counts it; each row's end is described in docs/data-model.md. */
function byAge(lives: Lifetimes): Record<string, Ended[]> {
  const counted = Math.max(lives.blocking, DAY_MINUTES);
  const order = 'created_at';
  const codes = (table: string, lifeMinutes: number): Ended[] => [
    { table, of: 't.code IS NULL', where: olderThan(counted), order },
    { table, where: expired(lifeMinutes, counted), order },
  ];
  const requests = 'account_creation_request_tokens';
  return {
    nonces: [{ table: 'nonces', where: olderThan(lives.nonce), order }],
    email_change_codes: codes('email_change_codes', lives.emailCode),
    phone_change_codes: codes('phone_change_codes', lives.phoneCode),
    sends: [{ table: 'sends', of: "t.state NOT IN ('due', 'sending')", where: olderThan(lives.send), order }],
    // Imported ones; none can be redeemed here.
    recovery_codes: [{ table: 'recovery_codes', where: olderThan(counted), order }],
    auth_tokens: [{ table: 'auth_tokens', where: olderThan(lives.authToken), order }],
    creation_tokens: [
      {
        table: 'account_creation_tokens',
        of: 'NOT t.used',
        where: expired(lives.creationToken, Math.max(lives.device, DAY_MINUTES)),
        order,
      },
    ],
    request_tokens: [
      { table: requests, of: 't.used', where: olderThan(DAY_MINUTES), order },
      { table: requests, of: 'NOT t.used AND t.validated_at IS NULL', where: olderThan(DAY_MINUTES), order },
      // Validated or not.
      { table: requests, where: `NOT t.used AND ${expired(lives.creationToken, 0)}`, order },
    ],
    provisioning_tokens: [
      { table: 'provisioning_tokens', of: 't.used', where: olderThan(DAY_MINUTES), order },
      { table: 'provisioning_tokens', where: expired(lives.provisioningToken, lives.provisioningToken + DAY_MINUTES), order },
    ],
    queue_actions: [{ table: 'queue_actions', where: olderThan(QUEUE_ACTIONS_DAYS * DAY_MINUTES), order }],
    token_deliveries: [{ table: 'token_deliveries', where: 't.retry_until < now()', order: 'retry_until' }],
  };
}

const conditionOf = ({ of, where }: Ended): string => (of === undefined ? where : `${of} AND ${where}`);

/** The statement that looks for rows that are over, oldest first. */
const findSome = (ended: Ended): string =>
  `SELECT t.id FROM ${ended.table} t WHERE ${conditionOf(ended)} ORDER BY t.${ended.order} LIMIT $1 FOR UPDATE SKIP LOCKED`;

/** Deletes some rows that nobody else has locked. */
const deleteSome = (ended: Ended, limit: number): Promise<number> =>
  execute(`DELETE FROM ${ended.table} WHERE id = ANY (ARRAY(${findSome(ended)}))`, [limit]);

async function deleteAll(ended: Ended): Promise<number> {
  let deleted = 0;
  for (let batches = 0; batches < MAX_BATCHES; batches += 1) {
    const some = await deleteSome(ended, BATCH_ROWS);
    deleted += some;
    if (some < BATCH_ROWS) break;
  }
  return deleted;
}

/**
 * Rows without a date, which only an import brings, are as old as their first sight: they end as all others do, and none at once that somebody may
 * still need.
 */
async function dateUndated({ table, of = 'true' }: Ended): Promise<void> {
  const undated = `SELECT t.id FROM ${table} t WHERE ${of} AND t.created_at IS NULL LIMIT $1 FOR UPDATE SKIP LOCKED`;
  for (let batches = 0; batches < MAX_BATCHES; batches += 1) {
    const some = await execute(`UPDATE ${table} SET created_at = now() WHERE id = ANY (ARRAY(${undated}))`, [BATCH_ROWS]);
    if (some < BATCH_ROWS) return;
  }
}

/**
 * Deletes unused provisioning tokens that a newer one of their account has superseded: they open nothing. Most unused ones are their account's newest
 * and stay, so each statement looks at so many and no more.
 */
async function deleteSuperseded(): Promise<number> {
  let deleted = 0;
  for (let after = 0; ;) {
    const [piece] = await select<{ deleted: number; seen: number; last: number | null }>(
      `WITH piece AS MATERIALIZED (SELECT id, account_id, created_at FROM provisioning_tokens WHERE NOT used AND id > $1 ORDER BY id LIMIT $2),
            ended AS (SELECT t.id FROM provisioning_tokens t JOIN piece USING (id) WHERE ${olderThan(DAY_MINUTES)}
                         AND EXISTS (SELECT 1 FROM provisioning_tokens o WHERE o.account_id = t.account_id AND NOT o.used AND o.id > t.id)
                         FOR UPDATE OF t SKIP LOCKED),
            gone AS (DELETE FROM provisioning_tokens WHERE id IN (SELECT id FROM ended) RETURNING id)
       SELECT (SELECT count(*) FROM gone)::integer AS deleted, count(*)::integer AS seen, max(id) AS last FROM piece`,
      [after, BATCH_ROWS],
    );
    deleted += piece?.deleted ?? 0;
    if (!piece || piece.last === null || piece.seen < BATCH_ROWS) return deleted;
    after = piece.last;
  }
}

/** Deletes what is over by age, in any number of workers at once. @returns how many rows, by kind */
export async function deleteEnded(lives: Lifetimes): Promise<Record<string, number>> {
  const parts = Object.entries(byAge(lives)).map(([kind, all]) => {
    const end = async (): Promise<number> => {
      let deleted = 0;
      for (const ended of all) {
        if (ended.order === 'created_at') await dateUndated(ended);
        if (ended.where !== 'false') deleted += await deleteAll(ended);
      }
      return deleted;
    };
    return [kind, end] as const;
  });
  return eachPart({ ...Object.fromEntries(parts), superseded_provisioning_tokens: deleteSuperseded });
}

/** Sends whose deadline has passed for so long that no process works on them any more. */
const UNSENT = {
  messages: { table: 'messages', where: "t.send_deadline < now() - interval '1 minute'", order: 'send_deadline' },
  creation_tokens: {
    table: 'account_creation_tokens',
    of: "t.send_state = 'sending'",
    where: "t.send_deadline < now() - interval '1 minute'",
    order: 'send_deadline',
  },
} satisfies Record<string, Ended>;

/** Deletes what was left behind by a process that died while it sent, or waited. @returns how many rows */
export const deleteUnsent = (kind: keyof typeof UNSENT): Promise<number> => deleteAll(UNSENT[kind]);

/** Every statement that looks for rows to delete, for the test that holds them against the indexes. */
export const searchesOf = (lives: Lifetimes): string[] =>
  [...Object.values(byAge(lives)).flat(), ...Object.values(UNSENT)].filter(({ where }) => where !== 'false').map(findSome);

/** Tables that strangers fill without an account, and which of their rows nobody has done anything more with. */
const STRANGERS = {
  request_tokens: { table: 'account_creation_request_tokens', where: 'NOT t.used AND t.validated_at IS NULL', order: 'id' },
  // Without hCaptcha anybody validates anything.
  validated_request_tokens: { table: 'account_creation_request_tokens', where: 'NOT t.used AND t.validated_at IS NOT NULL', order: 'id' },
  auth_tokens: { table: 'auth_tokens', where: 't.account_id IS NULL', order: 'id' },
} satisfies Record<string, Ended>;

/**
 * Deletes the oldest rows that strangers have made where there are more than `limit`: whoever fills a table from many addresses drives out what is
 * old, most of it their own, and locks nobody out.
 */
export async function trimStrangers(limit: number): Promise<Record<keyof typeof STRANGERS, number>> {
  const trim = async ({ table, where }: Ended): Promise<number> => {
    const [newest] = await select<{ id: number }>(`SELECT t.id FROM ${table} t WHERE ${where} ORDER BY t.id DESC OFFSET $1 LIMIT 1`, [
      limit,
    ]);
    return newest ? deleteAll({ table, of: where, where: `t.id <= ${newest.id}`, order: 'id' }) : 0;
  };
  return {
    request_tokens: await trim(STRANGERS.request_tokens),
    validated_request_tokens: await trim(STRANGERS.validated_request_tokens),
    auth_tokens: await trim(STRANGERS.auth_tokens),
  };
}
