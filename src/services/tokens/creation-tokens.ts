// Account creation tokens: who may have one, what one is good for. The only place that decides either.
import { setTimeout as sleep } from 'node:timers/promises';
import { settings } from '../../../config';
import { Batcher } from '../../infra/batcher';
import { type FieldErrors, fieldError } from '../../infra/errors';
import { log, reasonOf } from '../../infra/log';
import { withTimeout } from '../../infra/timeout';
import { AccountCreationToken } from '../../models';
import type { LedgerEntry } from '../../models/messaging/send';
import type { PushDevice } from '../../queues/contracts';
import { newToken } from '../credentials/secrets';

/** Of a token that cannot be used for an account, whatever the reason. */
export const CREATION_TOKEN_INVALID: FieldErrors = fieldError('account_creation_token', 'creation_token.invalid');

/** The client that a token is made for. */
export interface TokenClient {
  ip: string | null;
  user_agent: string | null | undefined;
}

/** Makes a token usable again that an account has redeemed in vain. */
export async function releaseCreationToken(token: string, accountId: number): Promise<void> {
  await AccountCreationToken.update({ used: false, account_id: null }, { where: { token, account_id: accountId } });
}

/** Redeems a token for an account that exists already. @returns null where it is not usable */
export async function consumeForAccount(
  token: string,
  accountId: number,
  { ip, user_agent }: TokenClient,
): Promise<AccountCreationToken | null> {
  const [, [redeemed]] = await AccountCreationToken.scope('usable').update(
    { used: true, account_id: accountId, ip, user_agent: user_agent ?? null },
    { where: { token }, returning: true },
  );
  return redeemed ?? null;
}

/** Makes a token that needs no sending. */
export const createCreationToken = ({ ip, user_agent }: TokenClient): Promise<AccountCreationToken> =>
  AccountCreationToken.create({ token: newToken(), ip, user_agent });

/** What decideOnDevice() decided. `retry_after`: seconds; `send`: `id` is the row of the token, `send` that of the ledger, which somebody must end. */
export type Decision =
  | { outcome: 'already_sent' | 'limit_reached'; retry_after: number }
  | { outcome: 'send'; id: number; token: string; send: number };

/** A device that is asked for, with its client; `timeLeft`: milliseconds until the send's deadline. */
interface Asked {
  device: PushDevice & { prid: string };
  client: TokenClient;
  timeLeft: () => number;
  entry: LedgerEntry;
}

/** What workers decide at once shares a statement. */
const decisions = new Batcher<Asked, Decision>(async (asked) => {
  const tokens = asked.map(newToken);
  const decided = await AccountCreationToken.beginSends(
    asked.map(({ device, client, timeLeft, entry }, n) => ({
      pn_provider: device.provider,
      pn_param: device.param,
      pn_prid: device.prid,
      ...client,
      token: tokens[n] ?? '',
      milliseconds: timeLeft(),
      entry,
    })),
    settings.APP_API_ACCOUNT_CREATION_TOKEN_RETRY_MINUTES,
    settings.APP_ACCOUNT_CREATION_TOKEN_EXPIRATION_MINUTES,
    settings.APP_ACCOUNT_CREATION_TOKENS_PER_DEVICE,
  );
  return decided.map(({ outcome, made, send, retry_after }, n) =>
    outcome === 'send' ? { outcome, id: made ?? 0, token: tokens[n] ?? '', send } : { outcome, retry_after: retry_after ?? 1 },
  );
});

/**
 * Decides whether a device may be sent a token, and where it may, makes the row, marked `sending`, under the device's own lock: of any number of requests
 * at once one decides at a time, and the next sees its row. The row of the ledger is made with it; of a device that may have none it has ended.
 *
 * @param timeLeft milliseconds until the send's deadline
 * @param entry what the ledger is to say of it
 */
export const decideOnDevice = (
  device: Asked['device'],
  client: TokenClient,
  timeLeft: () => number,
  entry: LedgerEntry,
): Promise<Decision> => decisions.submit({ device, client: { ip: client.ip, user_agent: client.user_agent }, timeLeft, entry });

/** Tokens that are sent at once share a statement. */
const marks = new Batcher<number, boolean>(async (ids) => {
  const sent = new Set(await AccountCreationToken.markSent(ids));
  return ids.map((id) => sent.has(id));
});

/**
 * Makes a sent token usable: nothing else does.
 *
 * @returns false where its deadline has passed: the request is, or was, answered 503, and the row is deleted
 */
export async function markSent(id: number): Promise<boolean> {
  if (await marks.submit(id)) return true;
  // Its time is over, or somebody has the row: the one who waits for it now waits for no other.
  const [sent] = await AccountCreationToken.scope(['sending', 'in_time']).update({ send_state: 'sent' }, { where: { id } });
  if (sent === 0) await deleteUnsent(id);
  return sent === 1;
}

/** Deletes the row of a token that was not sent: it must neither be usable nor count for the device. */
export async function deleteUnsent(id: number): Promise<void> {
  await AccountCreationToken.scope('sending').destroy({ where: { id } });
}

/** Between two attempts to delete a token whose asker has said 503. */
const WITHDRAWAL_DELAY_MS = 1000;
const MAX_WITHDRAWAL_ATTEMPTS = 60;

/** Deletes the row of a token that may have become usable although its asker says 503: again and again while the database does not answer. */
async function withdraw(id: number): Promise<void> {
  for (let attempts = 1; attempts <= MAX_WITHDRAWAL_ATTEMPTS; attempts += 1) {
    try {
      await AccountCreationToken.destroy({ where: { id, used: false } });
      return;
    } catch (error) {
      log.warn({ reason: reasonOf(error), attempts }, 'a token that was not confirmed is not deleted yet');
      await sleep(WITHDRAWAL_DELAY_MS, undefined, { ref: false });
    }
  }
}

/**
 * The word of whoever asked for a token that it was sent, given right before the answer: without it the token is never usable, and counts for its
 * device no longer than its deadline. So no answer but 200 leaves a token behind, whatever a worker does, and whatever was lost on the way.
 *
 * @param milliseconds within which the database must have said so
 * @returns false where it is too late, or the database does not answer; the token is not usable then
 */
export async function confirmSent(id: number, milliseconds: number): Promise<boolean> {
  try {
    return await withTimeout(markSent(id), milliseconds, 'confirming a token');
  } catch (error) {
    log.warn({ reason: reasonOf(error) }, 'a token could not be confirmed');
    // The statement may be carried out after all.
    void withdraw(id);
    return false;
  }
}
