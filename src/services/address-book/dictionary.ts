// The dictionary of an account: keys and values that its apps read.
import { Account, AccountDictionaryEntry } from '../../models';
import { visibleTo, type Viewer } from '../../models/visibility';

/** All values by key, in the order in which they were made. @returns null where the viewer sees no such account */
export async function findDictionary(viewer: Viewer, accountId: number): Promise<Record<string, string> | null> {
  const account = await Account.scope(visibleTo(viewer)).findByPk(accountId, {
    attributes: ['id'],
    include: { model: AccountDictionaryEntry, as: 'dictionary_entries', attributes: ['id', 'key', 'value'] },
    order: [['dictionary_entries', 'id', 'ASC']],
  });
  return account && Object.fromEntries((account.dictionary_entries ?? []).map(({ key, value }) => [key, value]));
}
