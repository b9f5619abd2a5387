// Whether recurring tasks are done as often as their schedules say.
import { TaskRun, type TaskAge } from '../../models/operations/task-run';
import { queues } from '../../queues/contracts';

const SECOND_MS = 1000;
const MINUTE_SECONDS = 60;
/** A task is late once so many of its runs are missing, and a minute. */
const MISSING_RUNS = 3;

/** Seconds between two runs of each recurring task. */
const EVERY: ReadonlyMap<string, number> = new Map(
  Object.values(queues).flatMap(({ schedules }) =>
    schedules.map(({ payload, every }) => ['task' in payload ? payload.task : payload.kind, every / SECOND_MS] as const),
  ),
);

/** How long ago each recurring task was done; one that never was is not there. @throws what Sequelize throws where PostgreSQL does not answer */
export async function taskAges(): Promise<TaskAge[]> {
  return (await TaskRun.ages()).filter(({ task }) => EVERY.has(task));
}

/** A line for each task that is overdue. @throws as taskAges() */
export async function overdueTasks(): Promise<string[]> {
  return (await taskAges())
    .filter(({ task, seconds }) => seconds > MISSING_RUNS * (EVERY.get(task) ?? Infinity) + MINUTE_SECONDS)
    .map(
      ({ task, seconds }) =>
        `the recurring task ${task} was last done ${seconds} s ago, and is due every ${EVERY.get(task)} s: is its queue served?`,
    );
}

/** Records that a recurring task was done; any other is none of its business. @throws as taskAges() */
export async function recordTask(payload: object): Promise<void> {
  if ('task' in payload && typeof payload.task === 'string' && EVERY.has(payload.task)) await TaskRun.record(payload.task);
}
