// The vCards that an account keeps with us, by their UID. Reading and deleting them needs no rule: ask the model.
import { onUniqueViolation } from '../../infra/database';
import { ApiError } from '../../infra/errors';
import { VcardStorage } from '../../models';
import { visibleTo, type Viewer } from '../../models/visibility';
import type { Vcard } from './vcards';

/** Stores a new card. @throws {ApiError} 409 where the account has a card with that UID */
export function createVcard(accountId: number, { uid, text }: Vcard): Promise<VcardStorage> {
  return onUniqueViolation({ vcards_storage_account_uuid_key: () => new ApiError(409, { key: 'vcard.exists', values: {} }) }, () =>
    // What was sent need not come back.
    VcardStorage.create({ account_id: accountId, uuid: uid, vcard: text }, { returning: ['id', 'created_at', 'updated_at'] }),
  );
}

/** Replaces the card with the same UID. @returns null where the account has none, or the viewer does not see it */
export async function replaceVcard(viewer: Viewer, accountId: number, { uid, text }: Vcard): Promise<VcardStorage | null> {
  const [, [changed]] = await VcardStorage.scope(visibleTo(viewer)).update(
    { vcard: text },
    { where: { account_id: accountId, uuid: uid }, returning: true },
  );
  return changed ?? null;
}
