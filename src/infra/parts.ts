// Several pieces of work of one job, none of which stops the others.
import { log } from './log';

/**
 * Does parts one after the other, all of them, whatever becomes of each.
 *
 * @param parts by the name under which the result has their numbers
 * @throws what the first that failed threw, once all are done: the job is a failed one then; every failure is logged
 */
export async function eachPart(parts: Record<string, () => Promise<number>>): Promise<Record<string, number>> {
  const done: Record<string, number> = {};
  const failures: unknown[] = [];
  for (const [part, work] of Object.entries(parts)) {
    try {
      done[part] = await work();
    } catch (error) {
      log.error({ err: error, part }, 'a part of a job failed; the others are done');
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
  return done;
}
