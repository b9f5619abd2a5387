// A SIP message on its way to the daemon: taken by a worker once, with its row in the ledger of sends.
import { inTransaction } from '../../infra/database';
import { Send, SipMessage } from '../../models';
import { type BegunSend, ledgerEntry } from './ledger';

/** A message that a worker may send, and no other process. */
export interface TakenMessage {
  /** `user@domain`. */
  recipient: string;
  body: string;
  /** Its row in the ledger. */
  send: number;
}

/** Takes a message for sending, and begins its row in the ledger. @returns null where it is gone, or too late */
export function takeMessage(rowId: number, by: Omit<BegunSend, 'channel' | 'kind' | 'recipient'>): Promise<TakenMessage | null> {
  return inTransaction(async () => {
    const message = await SipMessage.take(rowId);
    if (!message) return null;
    const { recipient, body } = message;
    const [send = 0] = await Send.record([{ ...ledgerEntry({ channel: 'message', kind: 'message', recipient, ...by }), state: 'sending' }]);
    return { recipient, body, send };
  });
}
