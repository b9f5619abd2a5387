// The end of a Space, in one transaction that may take minutes.
import { inLongTransaction } from '../../infra/database';
import { conflict } from '../../infra/errors';
import { deleteSpaceWithAll } from '../../models/spaces/deletion';

/**
 * Deletes a Space with its accounts, contacts lists and the statistics sent from it; there are no tombstones, since the domain is gone, too.
 *
 * @param domain in any letter case
 * @returns whether there was one
 * @throws {ApiError} 409 where nobody would be left to manage the installation
 */
export async function deleteSpace(domain: string): Promise<boolean> {
  const outcome = await inLongTransaction(() => deleteSpaceWithAll(domain.toLowerCase()));
  if (outcome === 'last') throw conflict('space.last_super');
  return outcome === 'deleted';
}
