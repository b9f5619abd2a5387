// Commands for the queues.
import { type Command, InvalidArgumentError } from 'commander';
import { withTimeout } from '../infra/timeout';
import { action, requireRedis } from './command';

/** Failed jobs that one call puts back. */
const MAX_RETRIED_JOBS = 1000;
const ANSWER_TIMEOUT_MS = 2000;
const RETRY_TIMEOUT_MS = 10_000;

/** Adds the commands of this file to the program. */
export function addQueueCommands(program: Command): void {
  program
    .command('queues')
    .description('shows the state of every queue')
    .action(
      action(async () => {
        requireRedis();
        const { reportQueues } = await import('../queues/report.js');
        const { default: Table } = await import('cli-table3');
        const report = await reportQueues();
        const table = new Table({
          head: ['queue', 'waiting', 'active', 'delayed', 'failed', 'completed', 'oldest waiting', 'workers'],
          style: { head: [], border: [] },
        });
        for (const { queue, waiting, active, delayed, failed, completed, oldest_waiting_seconds: oldest, workers } of report) {
          table.push([queue, waiting, active, delayed, failed, completed, oldest === null ? '—' : `${oldest} s`, workers ?? '?']);
        }
        const unknown = report.some(({ workers }) => workers === null);
        const text = unknown
          ? `${table.toString()}\nWorkers are not counted: the user of REDIS_URL may not run CLIENT LIST.`
          : table.toString();
        return { json: report, text };
      }),
    );

  program
    .command('queues:retry-failed')
    .description('puts the failed jobs of a queue back; a send whose time is over fails again and is not sent')
    .argument('<queue>')
    .action(
      action(async (name: string) => {
        requireRedis();
        const [{ QUEUE_NAMES }, { queueOf }] = await Promise.all([import('../queues/contracts.js'), import('../queues/producer.js')]);
        const queue = QUEUE_NAMES.find((known) => known === name);
        if (queue === undefined) throw new InvalidArgumentError(`there is no queue ${name}: ${QUEUE_NAMES.join(', ')}`);
        const { failed = 0 } = await withTimeout(queueOf(queue).getJobCounts('failed'), ANSWER_TIMEOUT_MS, 'Redis');
        await withTimeout(queueOf(queue).retryJobs({ state: 'failed', count: MAX_RETRIED_JOBS }), RETRY_TIMEOUT_MS, 'Redis');
        return { json: { queue, retried: failed }, text: `${failed} jobs put back.` };
      }),
    );
}
