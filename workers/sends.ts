// The rows of the table `sends`, whichever queue carries them: taken, sent once, and what came of it written down.
import type { SendResult } from '../src/queues/contracts';
import type { SendChannel } from '../src/models/messaging/send';
import { claimSend, recordSend, type ClaimedSend } from '../src/services/accounts/sends';
import { NOTHING_TO_SEND } from './job';
import type { Delivery } from './providers/delivery';

/**
 * Does the job of a row.
 *
 * @param missing what to say where the channel is not configured; null where it is
 * @param send asks the provider
 */
export async function doSend(
  channel: SendChannel,
  id: number,
  missing: SendResult | null,
  send: (claimed: ClaimedSend) => Promise<Delivery>,
): Promise<SendResult> {
  const claimed = await claimSend(channel, id);
  if (!claimed) return NOTHING_TO_SEND;
  const delivery = missing ?? (await send(claimed));
  await recordSend(claimed, delivery);
  const { outcome, reason } = delivery;
  return { outcome, ...(reason === undefined ? {} : { reason }) };
}
