// How commands of this folder end.
import { say } from './servers';

/** Rejects at SIGINT and SIGTERM, so that what was started is ended in a `finally`. */
export function interruption(): Promise<never> {
  const interrupted = new Promise<never>((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => reject(new Error(`ended by ${signal}`)));
  });
  // Nothing awaits it while the servers start.
  interrupted.catch(() => undefined);
  return interrupted;
}

/** Runs a command, and ends the process with the code that it gives; with 2 for a TypeError, as wrong options are, and 1 for any other error. */
export function runCommand(main: () => Promise<number>): void {
  main().then(
    (code) => process.exit(code),
    (error: unknown) => {
      say(error instanceof Error ? (error.stack ?? error.message) : String(error));
      process.exit(error instanceof TypeError ? 2 : 1);
    },
  );
}
