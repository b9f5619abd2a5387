// What all queues that send have in common: a row of the table `sends` for each, and what came of it written down.
import type { SendResult } from '../src/queues/contracts';
import type { SendChannel } from '../src/models/messaging/send';
import { claimSend, recordSend, type ClaimedSend } from '../src/services/accounts/sends';
import { type BegunSend, openSend, recordUnsent } from '../src/services/messaging/ledger';
import { NOTHING_TO_SEND, resultOf } from './job';
import type { Delivery } from './providers/delivery';

/** Its handler has thrown: a fault of ours, and nobody knows how far the send came. */
export const BROKEN = { outcome: 'unknown', reason_word: 'error', reason: 'the worker failed' } as const;

/**
 * Sends what has no row that was due, and about which nothing decides; its row in the ledger holds it up in nothing.
 *
 * @param missing what to say where the channel is not configured; null where it is
 * @param send asks the provider
 */
export async function sendAtOnce(begun: BegunSend, missing: SendResult | null, send: () => Promise<Delivery>): Promise<SendResult> {
  if (missing) {
    recordUnsent(begun, missing);
    return missing;
  }
  const row = openSend(begun);
  try {
    const delivery = await send();
    row.end(delivery);
    return resultOf(delivery);
  } catch (error) {
    row.end(BROKEN);
    throw error;
  }
}

/**
 * Does the job of a row that is due.
 *
 * @param by which provider it is sent, and for how many milliseconds the job waited
 * @param missing what to say where the channel is not configured; null where it is
 * @param send asks the provider
 */
export async function doSend(
  channel: SendChannel,
  id: number,
  by: { provider: string; queuedMs: number },
  missing: SendResult | null,
  send: (claimed: ClaimedSend) => Promise<Delivery>,
): Promise<SendResult> {
  const claimed = await claimSend(channel, id, by);
  if (!claimed) return NOTHING_TO_SEND;
  const delivery = missing ?? (await send(claimed));
  await recordSend(claimed, delivery);
  return resultOf(delivery);
}
