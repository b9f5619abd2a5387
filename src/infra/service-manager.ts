// What systemd is told where it started this process (Type=notify): that it is ready, that it stops, and that it is well (WatchdogSec).
//
// Node has no datagram sockets of the kind that NOTIFY_SOCKET is. systemd-notify, which is wherever systemd is, sends for us: four processes a minute
// that live for some milliseconds, instead of a native addon in every installation.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { environment } from '../../config/environment';
import { log, reasonOf } from './log';

const run = promisify(execFile);

const NOTIFY_TIMEOUT_MS = 5000;
/** systemd advises half of its time; with a third of it one message may be lost. */
const MESSAGES_PER_WATCHDOG = 3;

const { NOTIFY_SOCKET: notifySocket, WATCHDOG_USEC: watchdog, WATCHDOG_PID: watchdogPid } = environment;

/** Milliseconds within which systemd wants to hear of this process; undefined where it does not. */
function watchdogMs(): number | undefined {
  const isForUs = watchdogPid === undefined || Number(watchdogPid) === process.pid;
  const ms = Number(watchdog) / 1000;
  return isForUs && ms > 0 ? ms : undefined;
}

let isTold = false;

/** Sends a line (sd_notify(3)); does nothing where no systemd waits for them, and never throws. */
async function notify(line: string): Promise<void> {
  if (notifySocket === undefined) return;
  try {
    await run('systemd-notify', [line], { timeout: NOTIFY_TIMEOUT_MS });
  } catch (error) {
    if (isTold) return;
    isTold = true;
    log.error({ reason: reasonOf(error) }, 'systemd cannot be told how this process is: systemd-notify failed');
  }
}

/** Says that the process stops, so that systemd does not take it for one that hangs. */
export const notifyStopping = (): Promise<void> => notify('STOPPING=1');

/**
 * Says that the process is ready and, as often as systemd wants it, that it is well: a process whose event loop stands still says nothing, and is
 * started anew.
 *
 * @param look asked before each of these; where it throws the message is kept back
 */
export async function notifyReady(look: () => Promise<void> = () => Promise.resolve()): Promise<void> {
  const ms = watchdogMs();
  if (notifySocket !== undefined && ms !== undefined) {
    const tell = (): Promise<void> =>
      look().then(
        () => notify('WATCHDOG=1'),
        (error: unknown) =>
          log.error({ reason: reasonOf(error) }, 'this process does not answer itself: systemd is not told that it is well'),
      );
    setInterval(() => void tell(), ms / MESSAGES_PER_WATCHDOG).unref();
  }
  await notify('READY=1');
}
