// Telling operators who have no Prometheus: ALERT_WEBHOOK_URL is told when something begins that they should know of, and when it is over.
import type { Redis } from 'ioredis';
import { settings } from '../../../config';
import { inBackground } from '../../infra/context';
import { inTransaction } from '../../infra/database';
import { codeOf, log, reasonOf } from '../../infra/log';
import { withTimeout } from '../../infra/timeout';
import { Alert, TaskRun } from '../../models';
import type { ActiveCondition, AlertEvent } from '../../models/operations/alert';
import { producerConnection } from '../../queues/producer';
import { CONDITIONS, find, type Condition, type Finding } from './conditions';
import { readinessNow } from './readiness';
import { tellUnrecorded } from './unrecorded';

const INTERVAL_MS = 10_000;
/** A little less than the interval, so that a timer that is early loses no turn. */
const CLAIM_SECONDS = 9;
/** Whoever stands in for those who usually look does so once nobody has for this long. */
const STAND_IN_SECONDS = 30;
const TASK = 'alerts';
/** One receiver that hangs may take this long of each turn, and none longer. */
const POST_TIMEOUT_MS = 4000;
/** After this none is begun, so that all of a turn fits into its interval. */
const TELLING_MS = 4000;
const MAX_EVENTS = 20;
const REDIS_TIMEOUT_MS = 1000;
const WEEK_SECONDS = 7 * 24 * 3600;

/** Of all the one that is told without the database. */
const DATABASE_DOWN = CONDITIONS.find(({ alert }) => alert === 'FlexiapiServerDown') as Condition;
const DATABASE_LABELS = { server: 'postgresql' };

const active = ({ alert, severity }: Condition, { labels, summary }: Finding): ActiveCondition => ({
  alert,
  severity,
  // In one order, so that the same labels are the same text.
  labels: JSON.stringify(Object.fromEntries(Object.entries(labels).toSorted(([one], [other]) => (one < other ? -1 : 1)))),
  summary,
});

/** Ends what is under way with the process. */
const ending = new AbortController();

/** Tells one event. @returns whether it was received */
async function post(
  url: string,
  { id, alert, state, severity, labels, summary, since, ended_at }: Omit<AlertEvent, 'id'> & { id: number | null },
): Promise<boolean> {
  const runbook = `docs/operating.md#${alert.toLowerCase()}`;
  const body = { id, alert, state, severity, labels: JSON.parse(labels) as object, summary, since, ended: ended_at, runbook };
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'user-agent': 'flexisip-account-api' },
      body: JSON.stringify(body),
      redirect: 'manual',
      signal: AbortSignal.any([AbortSignal.timeout(POST_TIMEOUT_MS), ending.signal]),
    });
    await response.body?.cancel();
    if (response.ok) return true;
    log.warn({ alert, state, status: response.status }, 'ALERT_WEBHOOK_URL refuses an alert; it is told again');
  } catch (error) {
    const { cause } = error as { cause?: unknown };
    // Never the address, which may be a secret.
    if (!ending.signal.aborted)
      log.warn(
        { alert, state, reason: codeOf(cause) || (error as Error).name },
        'ALERT_WEBHOOK_URL does not answer; an alert is told again',
      );
  }
  return false;
}

/** In order: what comes after one that was not received waits for it. */
async function tellAll(url: string): Promise<void> {
  const end = performance.now() + TELLING_MS;
  for (const event of await Alert.untold(MAX_EVENTS)) {
    if (performance.now() > end || !(await post(url, event))) return;
    await Alert.told(event);
  }
}

const downKey = (): string => `{${settings.QUEUE_PREFIX}:alerts}:postgresql`;
const asked = <T>(work: (redis: Redis) => Promise<T>): Promise<T> =>
  withTimeout(work(producerConnection() as Redis), REDIS_TIMEOUT_MS, 'Redis');

/** Since when PostgreSQL has not answered, as this process knows it, whether that was told, and whether Redis knows so. */
let down: { since: Date; isTold: boolean; isStored: boolean } | undefined;

const databaseDown = (): ActiveCondition => active(DATABASE_DOWN, { labels: DATABASE_LABELS, summary: 'postgresql does not answer' });

/** Without the place where it stands what was told: Redis remembers it; without Redis each process tells for itself. */
async function withoutDatabase(url: string): Promise<void> {
  down ??= { since: new Date(), isTold: false, isStored: true };
  if (down.isTold || Date.now() - down.since.getTime() < DATABASE_DOWN.lasts * 1000) return;
  const since = down.since.toISOString();
  const stored = await asked((redis) => redis.set(downKey(), since, 'EX', WEEK_SECONDS, 'NX')).catch(() => undefined);
  down.isStored = stored !== undefined;
  // null: somebody else has told it.
  if (stored !== null) {
    const isReceived = await post(url, { ...databaseDown(), id: null, state: 'firing', since: down.since, ended_at: null });
    if (!isReceived) {
      await asked((redis) => redis.del(downKey())).catch(() => undefined);
      return;
    }
  }
  down.isTold = true;
}

/** What was told while the database was away stands in it from now on, so that its end is told as well. */
async function adopt(): Promise<void> {
  const stored = await asked((redis) => redis.get(downKey())).catch(() => null);
  const ours = down?.isTold === true && !down.isStored ? down.since : undefined;
  const since = stored === null ? ours : new Date(stored);
  if (since !== undefined) {
    await Alert.adopt(databaseDown(), since);
    await asked((redis) => redis.del(downKey())).catch(() => undefined);
  }
  down = undefined;
}

async function evaluate(url: string, seconds: number): Promise<void> {
  await tellUnrecorded().catch(() => undefined);
  const { postgresql } = await readinessNow();
  if (postgresql.status !== 'ok') {
    await withoutDatabase(url);
    return;
  }
  if (!(await TaskRun.claim(TASK, seconds))) {
    // What Redis knows of, whoever looks now finds there.
    if (down?.isTold === true && !down.isStored) await adopt();
    down = undefined;
    return;
  }
  await adopt();
  const found = await Promise.all(CONDITIONS.map(async (condition) => [condition, await find(condition)] as const));
  const known = found.flatMap(([condition, findings]) => (findings ? [[condition, findings] as const] : []));
  await inTransaction(() =>
    Alert.settle(
      known.flatMap(([condition, findings]) => findings.map((finding) => active(condition, finding))),
      Object.fromEntries(known.map(([{ alert, lasts }]) => [alert, lasts])),
    ),
  );
  await tellAll(url);
}

/**
 * Looks every ten seconds, where ALERT_WEBHOOK_URL is set; of all processes that do one at a time. Nothing waits for it.
 *
 * @param isStandIn looks where nobody else has for half a minute
 * @returns ends it
 */
export function watchAlerts(isStandIn: boolean): () => Promise<void> {
  const url = settings.ALERT_WEBHOOK_URL;
  if (url === undefined) return () => Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  let turn: Promise<void> = Promise.resolve();
  const look = (): void => {
    turn = evaluate(url, isStandIn ? STAND_IN_SECONDS : CLAIM_SECONDS)
      .catch((error: unknown) => log.warn({ reason: reasonOf(error) }, 'alerts could not be looked at'))
      .finally(() => {
        if (!ending.signal.aborted) timer = setTimeout(look, INTERVAL_MS).unref();
      });
  };
  timer = inBackground(() => setTimeout(look, INTERVAL_MS / 10).unref());
  return async () => {
    ending.abort();
    clearTimeout(timer);
    await turn;
  };
}
