// The end of a Space, in one transaction that may take minutes.
import { inLongTransaction } from '../../infra/database';
import { deleteSpaceWithAll } from '../../models/spaces/deletion';

/**
 * Deletes a Space with its accounts, contacts lists and the statistics sent from it; there are no tombstones, since the domain is gone, too.
 *
 * @param domain in any letter case
 * @returns whether there was one
 */
export const deleteSpace = (domain: string): Promise<boolean> => inLongTransaction(() => deleteSpaceWithAll(domain.toLowerCase()));
