// Changing email and phone by a code that is sent to the new one: asking for a code, and redeeming it. How it is sent: change-code-delivery.ts.
import { settings } from '../../../config';
import { inTransaction } from '../../infra/database';
import { ApiError, fieldError, forbidden, notFound, unprocessable } from '../../infra/errors';
import { Account, AccountCreationToken, Send } from '../../models';
import { lockAccount } from '../../models/accounts/account';
import { CHANGE_CODES, type Channel, countRecentRequests } from '../../models/accounts/change-code';
import { millisecondsFromNow, NO_KEY_UPDATE } from '../../models/moments';
import { SYSTEM, visibleTo } from '../../models/visibility';
import { isCertainlyNotSent, type NoAnswer, type SendResult } from '../../queues/contracts';
import { enqueueAndWait, rowJobId } from '../../queues/producer';
import { isSameSecret, newShortCode } from '../credentials/secrets';
import { countGuess, countSend } from '../limits/codes';
import { recordUnbegun } from '../messaging/ledger';
import { notSent } from '../messaging/refusals';
import { sentAsCode } from './change-code-delivery';
import { claimEmail, faultsOf, writeAccount } from './fields';

const MAX_ATTEMPTS = 5;

const EXPIRY_MINUTES: Record<Channel, number> = {
  email: settings.APP_EMAIL_CHANGE_CODE_EXPIRATION_MINUTES,
  phone: settings.APP_PHONE_CHANGE_CODE_EXPIRATION_MINUTES,
};
const TIMEOUT_SECONDS: Record<Channel, number> = { email: settings.EMAIL_TIMEOUT_SECONDS, phone: settings.SMS_TIMEOUT_SECONDS };

/**
 * Counts what the account asked for lately; at the limit it is blocked. @throws {ApiError} 403
 *
 * The account's own last change counts as one, so a fresh account begins at one.
 */
async function refuseTooMany(accountId: number): Promise<void> {
  const limit = settings.BLOCKING_AMOUNT_EVENTS_AUTHORIZED_DURING_PERIOD;
  if (limit === 0 || (await countRecentRequests(accountId, settings.BLOCKING_TIME_PERIOD_CHECK)) < limit) return;
  // Silent: a new `updated_at` would itself count as a request.
  await Account.scope(visibleTo(SYSTEM)).update({ blocked: true }, { where: { id: accountId }, silent: true });
  throw forbidden('auth.blocked');
}

/**
 * What is refused before anything else in a request for a code is looked at: asking too often, and asking without a creation token that
 * was used for the account. @throws {ApiError} 403
 */
export async function requireMayRequestCode(accountId: number): Promise<void> {
  await refuseTooMany(accountId);
  const where = { account_id: accountId, used: true };
  const token = await AccountCreationToken.findOne({ attributes: ['id'], where, raw: true });
  if (!token) throw forbidden('code.no_token');
}

/** A request for a code. */
export interface ChangeCodeRequest {
  account_id: number;
  /** An address, or a number in E.164. */
  recipient: string;
  /** In which the code is sent. */
  language: string;
  ip: string;
  user_agent: string | undefined;
}

/** Makes the row of a request where it may be made; several at once count one another. @returns its id @throws {ApiError} 403, 422 */
async function insertRequest(channel: Channel, { account_id, recipient, language, ip, user_agent }: ChangeCodeRequest): Promise<number> {
  const made = await inTransaction(async () => {
    const account = await Account.scope(visibleTo(SYSTEM)).findByPk(account_id, { attributes: [channel], lock: NO_KEY_UPDATE, raw: true });
    const current = account?.[channel];
    const same = channel === 'email' ? current?.toLowerCase() === recipient.toLowerCase() : current === recipient;
    if (same) throw unprocessable(fieldError(channel, 'field.same'));
    const faults = await faultsOf({ [channel]: recipient }, account_id);
    if (Object.keys(faults).length > 0) throw unprocessable(faults);
    try {
      await refuseTooMany(account_id);
    } catch (error) {
      // The blocking itself must be committed.
      if (error instanceof ApiError) return error;
      throw error;
    }
    const code = await CHANGE_CODES[channel].create({
      account_id,
      code: newShortCode(),
      [channel]: recipient,
      language,
      ip,
      user_agent,
      send_state: 'due',
      send_deadline: millisecondsFromNow(TIMEOUT_SECONDS[channel] * 1000),
    });
    return code.id;
  });
  if (made instanceof ApiError) throw made;
  return made;
}

/**
 * Sends a code to a new address or number and waits until it is sent. What was not sent leaves no row: a code that was
 * delivered before stays valid, and nothing counts towards blocking.
 *
 * @throws {ApiError} 403, 422; 429 where the recipient, its range or the client's address was sent too many; 503 where it was not sent
 */
export async function requestChangeCode(channel: Channel, request: ChangeCodeRequest): Promise<void> {
  const takeBack = await countSend({ channel, recipient: request.recipient, ip: request.ip });
  let id: number;
  try {
    id = await insertRequest(channel, request);
  } catch (error) {
    await takeBack();
    throw error;
  }
  const seconds = TIMEOUT_SECONDS[channel];
  const result: SendResult | NoAnswer =
    channel === 'email'
      ? await enqueueAndWait('email', { kind: 'email_change', id }, seconds, rowJobId('email', 'email_change', id))
      : await enqueueAndWait('sms', { kind: 'phone_change', id }, seconds, rowJobId('sms', 'phone_change', id));
  if (result.outcome === 'sent') return;
  // What no worker has begun must not be begun later; a send under way keeps its row.
  const unbegun = await CHANGE_CODES[channel].destroy({ where: { id, send_state: 'due' } });
  if (unbegun === 1)
    recordUnbegun({ ...sentAsCode(channel, { id, ...request }), provider: channel === 'email' ? 'smtp' : 'twilio' }, result);
  if (unbegun === 1 || isCertainlyNotSent(result.outcome)) await takeBack();
  throw notSent(result.outcome === 'not_configured' ? 'code.not_configured' : 'code.not_sent', result);
}

/**
 * Redeems a code: the address or number becomes the account's, which is activated.
 *
 * @param ip the client's address
 * @throws {ApiError} 404 where none is pending, 410 where it is too old, 403 where it is wrong (the fifth time it is void), 422
 *   where the address or number was taken meanwhile, 429 where too many wrong ones were tried for it or from the client's address
 */
export async function redeemChangeCode(channel: Channel, accountId: number, code: string, ip: string): Promise<void> {
  const due = await CHANGE_CODES[channel].findPending(accountId, EXPIRY_MINUTES[channel]);
  // Counted before the transaction: no row is locked while Redis is asked.
  const counted = due.filter(({ expired }) => !expired).map(({ recipient }) => ({ channel, recipient }));
  const takeBack = counted.length === 0 ? undefined : await countGuess(counted, ip);
  try {
    const recipients = counted.map(({ recipient }) => recipient);
    const refused = await compareChangeCode(channel, accountId, code, recipients);
    if (refused) throw refused;
    await takeBack?.();
  } catch (error) {
    if (!(error instanceof ApiError && error.text.key === 'code.wrong')) await takeBack?.();
    throw error;
  }
}

/** @param recipients of the codes that the guess was counted for; no other is compared @returns what is to be answered once this is committed */
async function compareChangeCode(channel: Channel, accountId: number, code: string, recipients: string[]): Promise<ApiError | null> {
  const codes = CHANGE_CODES[channel];
  const accounts = Account.scope(visibleTo(SYSTEM));
  return writeAccount(async () => {
    // One attempt at a time.
    await lockAccount(accountId);
    const all = await codes.findPending(accountId, EXPIRY_MINUTES[channel]);
    const pending = all.filter(({ expired, recipient }) => expired || recipients.includes(recipient));
    const [newest] = pending;
    if (!newest) return notFound('code.none');
    if (newest.expired) return new ApiError(410, { key: 'code.expired', values: {} });
    const matching = pending.filter((row) => isSameSecret(row.code ?? '', code)).find((row) => !row.expired);
    if (!matching) {
      await codes.countWrongAttempt(
        pending.map(({ id }) => id),
        MAX_ATTEMPTS,
      );
      return forbidden('code.wrong');
    }
    const { recipient } = matching;
    const faults = await faultsOf({ [channel]: recipient }, accountId);
    // A country that was deactivated since is no reason: the number was accepted when it was asked for.
    if (faults[channel]?.[0]?.key === 'field.taken') throw unprocessable(faults);
    if (channel === 'email') await claimEmail(recipient, accountId);
    // One that no worker has taken yet is left, as if it had been asked for after this: its request still waits.
    await codes.scope(['unredeemed', 'begun']).update({ code: null }, { where: { account_id: accountId } });
    // A code that an admin of a Space has seen shows that the admin has it, and not who reads the mailbox.
    const confirmed = channel === 'email' && !matching.shown ? { confirmed_email: recipient } : {};
    await accounts.update({ [channel]: recipient, ...confirmed, activated: true }, { where: { id: accountId } });
    await Send.convertCode(accountId, `${channel}_change`, matching.id);
    return null;
  });
}

/**
 * Remembers that an admin of a Space is about to be shown the codes that an account waits for: such a code says nothing about its recipient any
 * more, or admins could confirm any address for an account of theirs.
 */
export async function markCodesShown(accountId: number): Promise<void> {
  await inTransaction(async () => {
    await lockAccount(accountId);
    for (const codes of Object.values(CHANGE_CODES))
      await codes.scope('unredeemed').update({ shown: true }, { where: { account_id: accountId, shown: false }, silent: true });
  });
}
