// linphone-daemon, over its UNIX socket. It serves one client at a time: another is accepted and closed without a word.
// What it has not read is reset (ECONNRESET, EPIPE): that was not sent, so it is tried again. What it has read and not answered is
// unknown, and never sent again.
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MessageResult } from '../../src/queues/contracts';

/** Between two attempts. */
const RETRY_DELAY_MS = 50;
/** How long a daemon that is not there is tried: one that restarts is back within this time. */
const RESTART_TIMEOUT_MS = 1500;
/** Far above any reply of the daemon. */
const MAX_REPLY_CHARACTERS = 64 * 1024;

const HUNG_UP: MessageResult = {
  outcome: 'unknown',
  reason_word: 'provider_unreachable',
  reason: 'the daemon hung up without an answer',
};

/** `busy`: another client is served; `absent`: no daemon listens. In both cases it was not sent. */
type Try = MessageResult | 'busy' | 'absent';

/** `Name: value` lines as they have come so far, whole lines only; a closed connection ends the last one. */
function readReply(text: string, ended: boolean): MessageResult | null {
  const lines = text.split(/\r?\n/);
  const whole = ended ? lines : lines.slice(0, -1);
  const valueOf = (name: string): string | undefined =>
    whole
      .find((line) => line.toLowerCase().startsWith(`${name}:`))
      ?.slice(name.length + 1)
      .trim();
  const status = valueOf('status')?.toLowerCase();
  if (status === 'ok') {
    const id = valueOf('id');
    return id === undefined ? null : { outcome: 'sent', id };
  }
  if (status !== 'error') return null;
  const reason = valueOf('reason');
  return reason === undefined ? null : { outcome: 'refused', reason_word: 'provider_refused', reason };
}

const unread = (code: string | undefined): boolean => code === 'ECONNRESET' || code === 'EPIPE';
const absent = (code: string | undefined): boolean => code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'EAGAIN';

function tryOnce(path: string, command: string, milliseconds: number): Promise<Try> {
  return new Promise((resolve) => {
    const socket = connect(path);
    let text = '';
    let connected = false;
    const finish = (result: Try): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const timer = setTimeout(
      () => finish({ outcome: 'unknown', reason_word: 'timeout', reason: 'the daemon did not answer in time' }),
      milliseconds,
    );
    socket.setEncoding('utf8');
    socket.once('connect', () => {
      connected = true;
      socket.write(command);
    });
    socket.on('data', (chunk: string) => {
      text += chunk;
      const reply = readReply(text, false);
      if (reply) finish(reply);
      else if (text.length > MAX_REPLY_CHARACTERS)
        finish({ outcome: 'unknown', reason_word: 'provider_failing', reason: 'the daemon answers without end' });
    });
    socket.on('error', ({ code }: NodeJS.ErrnoException) => {
      if (unread(code) && text === '') finish('busy');
      else if (!connected && absent(code)) finish('absent');
      else {
        const reason = `the daemon's socket: ${code ?? 'error'}`;
        finish({ outcome: connected ? 'unknown' : 'failed', reason_word: 'provider_unreachable', reason });
      }
    });
    socket.on('end', () => finish(readReply(text, true) ?? HUNG_UP));
  });
}

/**
 * Gives the daemon one command, a line with its line feed.
 *
 * @param milliseconds until no request waits any more
 */
export async function sendToDaemon(path: string, command: string, milliseconds: number): Promise<MessageResult> {
  const end = Date.now() + milliseconds;
  let absentSince = 0;
  for (;;) {
    const left = end - Date.now();
    if (left < RETRY_DELAY_MS) return { outcome: 'expired', reason_word: 'timeout', reason: 'the daemon was busy all the time' };
    const result = await tryOnce(path, command, left);
    if (result !== 'busy' && result !== 'absent') return result;
    if (result === 'busy') absentSince = 0;
    else if (absentSince === 0) absentSince = Date.now();
    else if (Date.now() - absentSince > RESTART_TIMEOUT_MS)
      return { outcome: 'failed', reason_word: 'provider_unreachable', reason: 'the daemon is not there' };
    await sleep(RETRY_DELAY_MS);
  }
}
