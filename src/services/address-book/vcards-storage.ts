// The vCards that an account keeps with us, by their UID. Reading and deleting them needs no rule: ask the model.
import { settings } from '../../../config';
import { inTransaction, onUniqueViolation } from '../../infra/database';
import { ApiError, fieldError, forbidden } from '../../infra/errors';
import type { Message, MessageKey } from '../../i18n';
import { VcardStorage, VcardUsage } from '../../models';
import { lockAccount } from '../../models/accounts/account';
import { visibleTo, type Viewer } from '../../models/visibility';
import type { Vcard } from './vcards';

const KIB = 1024;

const refuse = (key: MessageKey, values: Message['values']): ApiError => {
  const errors = fieldError('vcard', key, values);
  return forbidden(key, { attribute: 'vcard', ...values }, { errors });
};

/**
 * Refuses a card for which the account has no room. What makes an account's cards fewer or smaller is never refused, also where the quota was lowered.
 *
 * Inside a transaction that holds the account: of several cards at once each sees those before it.
 */
async function requireRoom(accountId: number, { uid, text }: Vcard): Promise<void> {
  const { VCARDS_PER_ACCOUNT: maxCards, VCARD_BYTES_PER_ACCOUNT: maxBytes } = settings;
  const { cards, bytes, replaced } = await VcardUsage.of(accountId, uid);
  if (replaced === null && maxCards > 0 && cards >= maxCards) throw refuse('vcard.too_many', { limit: maxCards });
  const more = Buffer.byteLength(text) - (replaced ?? 0);
  if (more > 0 && maxBytes > 0 && bytes + more > maxBytes) throw refuse('vcard.no_room', { limit: Math.floor(maxBytes / KIB) });
}

/**
 * Stores a new card.
 *
 * @throws {ApiError} 409 where the account has a card with that UID, 403 where it has no room for another
 */
export function createVcard(accountId: number, card: Vcard): Promise<VcardStorage> {
  const exists = (): ApiError => new ApiError(409, { key: 'vcard.exists', values: {} });
  return onUniqueViolation({ vcards_storage_account_uuid_key: exists }, () =>
    inTransaction(async () => {
      await lockAccount(accountId);
      await requireRoom(accountId, card);
      // What was sent need not come back.
      const values = { account_id: accountId, uuid: card.uid, vcard: card.text };
      return VcardStorage.create(values, { returning: ['id', 'created_at', 'updated_at'] });
    }),
  );
}

/**
 * Replaces the card with the same UID.
 *
 * @returns null where the account has none, or the viewer does not see it
 * @throws {ApiError} 403 where the account has no room for a larger one
 */
export function replaceVcard(viewer: Viewer, accountId: number, card: Vcard): Promise<VcardStorage | null> {
  return inTransaction(async () => {
    await lockAccount(accountId);
    const cards = VcardStorage.scope(visibleTo(viewer));
    const where = { account_id: accountId, uuid: card.uid };
    if ((await cards.count({ where })) === 0) return null;
    await requireRoom(accountId, card);
    const [, [changed]] = await cards.update({ vcard: card.text }, { where, returning: true });
    return changed ?? null;
  });
}
