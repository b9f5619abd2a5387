// Commands for the queues. What changes something leaves a row in the trail, and a line of the log on stderr.
import { hostname, userInfo } from 'node:os';
import { type Command, InvalidArgumentError } from 'commander';
import { DateTime } from 'luxon';
import { environment } from '../../config/environment';
import { openErrorLog } from '../infra/log';
import type { QueueAction } from '../models';
import type * as Service from '../services/operations/queue-steering';
import type { CleanReport, JobState, JobView, QueueReport, RetryReport, Steerer } from '../services/operations/queue-steering';
import { action, MAX_AGE_MINUTES, type Output, Refusal, requireDatabase, requireRedis, wholeNumber } from './command';

const WATCH_INTERVAL_MS = 2000;
const PAGE_JOBS = 500;
const DEFAULT_ROWS = 100;
const MAX_ROWS = 1_000_000;
const CLEAR_SCREEN = '\u001b[H\u001b[2J';
const CLEAR_LINE = '\r\u001b[K';

type Steering = typeof Service;
const steering = (): Promise<Steering> => import('../services/operations/queue-steering.js');

const UNIT_SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 } as const;
const DURATION = /^(\d{1,9})([smhd])$/;

function parseSeconds(text: string): number {
  const [, count, unit = 's'] = /^(\d{1,9})([smhd]?)$/.exec(text) ?? [];
  const seconds = Number(count) * UNIT_SECONDS[(unit || 's') as keyof typeof UNIT_SECONDS];
  if (!(seconds <= MAX_AGE_MINUTES * 60)) throw new InvalidArgumentError('a time such as 90s, 10m, 12h or 7d is expected');
  return seconds;
}

/** A moment, or so much time before now. */
function parseSince(text: string): Date {
  if (DURATION.test(text)) return new Date(Date.now() - parseSeconds(text) * 1000);
  const moment = DateTime.fromISO(text, { zone: 'utc' });
  if (!moment.isValid || moment.year < 1 || moment.year > 9999)
    throw new InvalidArgumentError('an ISO 8601 date such as 2026-11-27T09:00Z, or a time before now such as 10m, 12h or 7d is expected');
  return moment.toJSDate();
}

/** @throws {InvalidArgumentError} which names all queues */
async function parseQueue(given: string): Promise<string> {
  const { QUEUE_NAMES } = await import('../queues/contracts.js');
  const names: readonly string[] = QUEUE_NAMES;
  if (!names.includes(given)) throw new InvalidArgumentError(`there is no queue ${given}: ${names.join(', ')}`);
  return given;
}

/** Who has called the command: the user of the system, and who he was before sudo. */
function whoCalls(): string {
  let user: string;
  try {
    user = userInfo().username;
  } catch {
    // A container may run as a number without a name.
    user = `uid ${process.getuid?.() ?? '?'}`;
  }
  const before = environment['SUDO_USER'];
  return `${user}${before === undefined || before === user ? '' : ` (${before})`}@${hostname()}`;
}

/** Where somebody looks on. */
function progressBar(): { progress?: (done: number, all: number) => void; clear: () => void } {
  if (!process.stderr.isTTY) return { clear: () => undefined };
  return {
    progress: (done, all) => void process.stderr.write(`${CLEAR_LINE}${done}${all > 0 ? ` of ${all}` : ''} jobs`),
    clear: () => void process.stderr.write(CLEAR_LINE),
  };
}

/** Changes something as the person who has called the command. What fails, or is refused, has its line as well, before the one that says why. */
async function asCaller<T>(work: (steerer: Steerer, service: Steering) => Promise<T>): Promise<T> {
  requireRedis();
  requireDatabase();
  const errors = openErrorLog();
  const { progress, clear } = progressBar();
  const tell =
    (level: 'info' | 'warn') =>
    (line: object, message: string): void => {
      clear();
      errors[level](line, message);
    };
  const steerer: Steerer = {
    source: 'cli',
    account_id: null,
    account: whoCalls(),
    key_id: null,
    ip: null,
    lines: { info: tell('info'), warn: tell('warn') },
    ...(progress && { progress }),
  };
  try {
    return await work(steerer, await steering());
  } finally {
    clear();
    const { actionsWritten } = await import('../services/operations/queue-actions.js');
    await actionsWritten();
  }
}

async function tableOf(head: string[], rows: (string | number)[][]): Promise<string> {
  const { default: Table } = await import('cli-table3');
  const table = new Table({ head, style: { head: [], border: [] } });
  for (const row of rows) table.push(row);
  return table.toString();
}

const HEAD = ['queue', 'waiting', 'active', 'delayed', 'failed', 'completed', 'oldest waiting', 'workers'];

async function showQueues(report: QueueReport[]): Promise<Output> {
  const rows = report.map(({ queue, waiting, active, delayed, failed, completed, oldest_waiting_seconds: oldest, workers, paused }) => [
    paused ? `${queue} (paused)` : queue,
    waiting,
    active,
    delayed,
    failed,
    completed,
    oldest === null ? '—' : `${oldest} s`,
    workers ?? '?',
  ]);
  const table = await tableOf(HEAD, rows);
  const unknown = report.some(({ workers }) => workers === null);
  return { json: report, text: unknown ? `${table}\nWorkers are not counted: the user of REDIS_URL may not run CLIENT LIST.` : table };
}

/** A line a queue, for who reads no table. */
const linesOf = (report: QueueReport[]): string =>
  report
    .map(({ queue, oldest_waiting_seconds: oldest, workers, ...counts }) => {
      const { waiting, active, delayed, failed, completed, paused } = counts;
      return (
        `${new Date().toISOString()} ${queue} waiting=${waiting} active=${active} delayed=${delayed} failed=${failed} completed=${completed} ` +
        `oldest_waiting_seconds=${oldest ?? '-'} workers=${workers ?? '?'} paused=${paused}`
      );
    })
    .join('\n');

/** Resolves once somebody ends the command, or nobody reads it any more. */
function ended(): Promise<true> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve(true));
    process.stdout.on('error', () => resolve(true));
  });
}

/** Shows the queues again and again, until it is ended. Where Redis does not answer that is shown. */
async function watchQueues(json: boolean): Promise<undefined> {
  const { readQueues } = await steering();
  const end = ended();
  const isScreen = process.stdout.isTTY && !json;
  for (;;) {
    let text: string;
    try {
      const report = await readQueues();
      if (json) text = JSON.stringify(report);
      else text = isScreen ? (await showQueues(report)).text : linesOf(report);
    } catch {
      const said = 'The queues do not answer.';
      text = json ? JSON.stringify({ error: said }) : `${new Date().toISOString()} ${said}`;
    }
    process.stdout.write(`${isScreen ? CLEAR_SCREEN : ''}${text}\n`);
    let timer: NodeJS.Timeout | undefined;
    const pause = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), WATCH_INTERVAL_MS);
    });
    const isOver = await Promise.race([end, pause]);
    clearTimeout(timer);
    if (isOver) return undefined;
  }
}

interface JobOptions {
  state?: JobState;
  reason?: string;
  since?: Date;
  olderThan?: number;
  requestId?: string;
  limit: number;
}

/** All pages, up to `limit`. */
async function findJobs(
  queue: string,
  { limit, olderThan, requestId, ...filter }: JobOptions,
): Promise<{ jobs: JobView[]; more: boolean }> {
  const { listQueueJobs } = await steering();
  const jobs: JobView[] = [];
  const { progress, clear } = progressBar();
  const wish = { ...filter, older_than_seconds: olderThan, request_id: requestId };
  let cursor: string | null | undefined;
  try {
    do {
      const page = await listQueueJobs(queue, wish, { cursor: cursor ?? undefined, limit: Math.min(PAGE_JOBS, limit - jobs.length) });
      jobs.push(...page.jobs);
      cursor = page.next_cursor;
      progress?.(jobs.length, 0);
    } while (cursor !== null && jobs.length < limit);
  } finally {
    clear();
  }
  return { jobs, more: cursor !== null };
}

async function showJobs(jobs: JobView[], more: boolean): Promise<Output> {
  if (jobs.length === 0) return { json: jobs, text: 'No such jobs.' };
  const rows = jobs.map(({ id, kind, state, reason, text, age_seconds, attempts, request_id, deadline_over }) => [
    id,
    kind ?? '?',
    deadline_over ? `${state}, too late` : state,
    reason ?? '—',
    (text ?? '').slice(0, 60),
    `${age_seconds} s`,
    attempts,
    request_id ?? '—',
  ]);
  const table = await tableOf(['job', 'kind', 'state', 'reason', 'text', 'age', 'attempts', 'request'], rows);
  return { json: jobs, text: more ? `${table}\nThere are more: --limit shows so many.` : table };
}

const WHY: Record<keyof RetryReport['refused'], string> = {
  deadline_over: 'too late, their deadline is over',
  may_have_arrived: 'may have arrived, so that somebody could get them twice',
  nobody_waits: 'of a request that has given up on them',
  not_failed: 'put back or removed by somebody else meanwhile',
};

/** What was not put back, and why, in words. */
const refusedText = ({ refused }: RetryReport): string =>
  Object.entries(refused)
    .filter(([, count]) => count > 0)
    .map(([why, count]) => `${count} ${WHY[why as keyof typeof WHY]}`)
    .join('; ');

function retryOutput(queue: string, dry_run: boolean, report: RetryReport, json: boolean): Output {
  const { matched, retried, complete } = report;
  const refused = refusedText(report);
  const allRefused = matched > 0 && retried === 0;
  const said = `${retried} of ${matched} failed jobs ${dry_run ? 'would be put back' : 'put back'}${refused === '' ? '' : `; left: ${refused}`}.`;
  if (allRefused && !json) throw new Refusal(said);
  if (allRefused) process.exitCode = 1;
  return { json: { queue, dry_run, ...report }, text: complete ? said : `${said} There was no time for all of them.` };
}

async function showActions(actions: QueueAction[]): Promise<Output> {
  const json = actions.map((each) => each.get({ plain: true }) as object);
  if (actions.length === 0) return { json, text: 'Nothing was done to the queues.' };
  const rows = actions.map(({ created_at, source, account, key_name, ip, action: what, queue, job, affected, outcome, reason }) => [
    new Date(created_at).toISOString().slice(0, 19).replace('T', ' '),
    key_name === null ? account : `${account} (${key_name})`,
    ip === null ? source : `${source} ${ip}`,
    what,
    job === null ? (queue ?? 'all') : `${queue} ${job}`,
    affected ?? '—',
    reason === null ? outcome : `${outcome}: ${reason.slice(0, 60)}`,
  ]);
  return { json, text: await tableOf(['when (UTC)', 'who', 'from', 'what', 'queue', 'jobs', 'outcome'], rows) };
}

const isJson = (command: Command): boolean => command.optsWithGlobals<{ json?: boolean }>().json === true;
const REASON = 'a word of the list of reasons, an outcome, or a part of the text of the failure';

/** Commands that only look. */
function addLooking(program: Command): void {
  program
    .command('queues')
    .description('shows the state of every queue')
    .option('--watch', 'again every two seconds, until Ctrl-C')
    .action(
      action(async ({ watch }: { watch?: true }, command: Command) => {
        requireRedis();
        if (watch) return watchQueues(isJson(command));
        const { readQueues } = await steering();
        return showQueues(await readQueues());
      }),
    );

  program
    .command('queues:jobs')
    .description('lists jobs of a queue: their state, why they failed, how old they are, which request they are for')
    .argument('<queue>')
    .option('--state <state>', 'active, waiting, prioritized, delayed, failed or completed; all where absent')
    .option('--reason <reason>', REASON)
    .option('--since <time>', 'ended, or added, since then: a date, or a time before now such as 2h', parseSince)
    .option('--older-than <time>', 'ended, or added, so long ago at least, such as 10m', parseSeconds)
    .option('--request-id <id>', 'of this request: the x-request-id of its answer')
    .option('--limit <jobs>', 'at most', wholeNumber(MAX_ROWS), DEFAULT_ROWS)
    .action(
      action(async (given: string, options: JobOptions) => {
        const queue = await parseQueue(given);
        const { JOB_STATES } = await steering();
        if (options.state !== undefined && !JOB_STATES.includes(options.state))
          throw new InvalidArgumentError(`--state: there is no state ${JSON.stringify(options.state)}: ${JOB_STATES.join(', ')}`);
        requireRedis();
        const { jobs, more } = options.limit === 0 ? { jobs: [], more: false } : await findJobs(queue, options);
        return showJobs(jobs, more);
      }),
    );

  program
    .command('queues:actions')
    .description('lists what was done to queues, and by whom: from the dashboard, by the API, at the command line')
    .option('--queue <queue>', 'of one queue')
    .option('--limit <actions>', 'at most', wholeNumber(10_000), DEFAULT_ROWS)
    .action(
      action(async ({ queue, limit }: { queue?: string; limit: number }) => {
        requireDatabase();
        const { readActions } = await import('../services/operations/queue-actions.js');
        const { actions } = await readActions({ limit, queue: queue === undefined ? undefined : await parseQueue(queue) });
        return showActions(actions);
      }),
    );
}

/** Commands that change something. */
function addSteering(program: Command): void {
  program
    .command('queues:retry-failed')
    .description(
      'puts failed jobs of a queue back; of one that sends, those alone that are not too late, and that certainly have not arrived',
    )
    .argument('<queue>')
    .option('--reason <reason>', REASON)
    .option('--since <time>', 'failed since then: a date, or a time before now such as 2h', parseSince)
    .option('--dry-run', 'only says what would come of it')
    .action(
      action(async (given: string, { dryRun = false, ...wish }: { reason?: string; since?: Date; dryRun?: boolean }, command: Command) => {
        const queue = await parseQueue(given);
        const report = await asCaller((steerer, { retryFailed }) => retryFailed(steerer, queue, { ...wish, dry_run: dryRun }));
        return retryOutput(queue, dryRun, report, isJson(command));
      }),
    );

  for (const [name, description] of [
    ['pause', 'stops workers from taking jobs of a queue; what is under way goes on'],
    ['resume', 'has workers take jobs of a queue again'],
  ] as const)
    program
      .command(`queues:${name}`)
      .description(description)
      .argument('<queue>')
      .action(
        action(async (given: string) => {
          const queue = await parseQueue(given);
          await asCaller((steerer, service) => service[name](steerer, queue));
          return { json: { queue, paused: name === 'pause' }, text: `${queue} is ${name === 'pause' ? 'paused' : 'resumed'}.` };
        }),
      );

  program
    .command('queues:clean')
    .description('removes jobs of a queue that are done; those of the last ten seconds stay')
    .argument('<queue>')
    .requiredOption('--state <state>', 'completed or failed')
    .option('--older-than <time>', 'done so long ago at least, such as 12h or 7d', parseSeconds, 0)
    .action(
      action(async (given: string, { state, olderThan }: { state: string; olderThan: number }) => {
        const queue = await parseQueue(given);
        if (state !== 'completed' && state !== 'failed') throw new InvalidArgumentError('--state: completed or failed is expected');
        const wish = { state, older_than_seconds: olderThan } as const;
        const report: CleanReport = await asCaller((steerer, { clean }) => clean(steerer, queue, wish));
        return { json: { queue, state, ...report }, text: `${report.removed} jobs removed.` };
      }),
    );
}

/** Adds the commands of this file to the program. */
export function addQueueCommands(program: Command): void {
  addLooking(program);
  addSteering(program);
}
