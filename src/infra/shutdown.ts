// The end of a process: steps in order, under a timer.
import { log } from './log';
import { notifyStopping } from './service-manager';

type Step = readonly [name: string, run: () => Promise<unknown>];

let begun = false;

/** Whether this process has been told to end: it answers and finishes what it has, and should be given nothing new. */
export const isStopping = (): boolean => begun;

/** How long the log may take to write its last lines. */
const FLUSH_TIMEOUT_MS = 100;

/**
 * Runs the steps one after another at SIGTERM, SIGINT, or when the process that forked this one is gone; then exits.
 * A step that throws does not keep the others from running. After `graceSeconds` the process exits whatever is left.
 */
export function onShutdown(graceSeconds: number, steps: readonly Step[]): void {
  const stop = async (why: string): Promise<void> => {
    if (begun) return;
    begun = true;
    log.info({ why }, 'stopping');
    void notifyStopping();
    const timer = setTimeout(() => {
      log.warn({ seconds: graceSeconds }, 'stopped with work unfinished');
      setTimeout(() => process.exit(1), FLUSH_TIMEOUT_MS);
    }, graceSeconds * 1000);
    timer.unref();
    for (const [name, run] of steps) {
      try {
        await run();
      } catch (error) {
        log.error({ err: error, step: name }, 'a step of the shutdown failed');
      }
    }
    log.info('stopped');
    log.flush(() => process.exit(0));
    setTimeout(() => process.exit(0), FLUSH_TIMEOUT_MS);
  };
  process.once('SIGTERM', () => void stop('SIGTERM'));
  process.once('SIGINT', () => void stop('SIGINT'));
  // npm start forks web and worker: where it was killed, they must end, too.
  if (process.send) process.once('disconnect', () => void stop('parent is gone'));
}

/** From here on an uncaught error ends the process with exit code 1, after it was logged. */
export function dieOnUncaught(): void {
  const die = (error: unknown): void => {
    log.fatal({ err: error }, 'uncaught error');
    log.flush(() => process.exit(1));
    setTimeout(() => process.exit(1), FLUSH_TIMEOUT_MS);
  };
  process.on('uncaughtException', die);
  process.on('unhandledRejection', die);
}
