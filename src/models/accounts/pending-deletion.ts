// What is still there of accounts and Spaces that were deleted. A trigger writes the row of an account in the transaction that deletes it, so that
// nothing forgets it (migrations/0009-deletions.ts); services/accounts/leftovers.ts removes the rest in pieces.
import { type Attributes, type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database, execute, select } from '../../infra/sequelize';
import { DATE, INTEGER, optional, required, varchar, bigId } from '../columns';
import { AccountAction } from '../address-book/account-action';
import { AccountDictionaryEntry } from '../address-book/account-dictionary-entry';
import { Contact } from '../address-book/contact';
import { VcardStorage } from '../address-book/vcard-storage';
import { Nonce } from '../credentials/nonce';
import { NOW } from '../moments';

/** Tables whose rows stay when their account goes, since there may be any number of them. Everything that reads them comes from an account that is there. */
const OWN_ROWS: [model: { tableName: string }, column: 'account_id' | 'contact_id'][] = [
  [Nonce, 'account_id'],
  [AccountDictionaryEntry, 'account_id'],
  [AccountAction, 'account_id'],
  [Contact, 'account_id'],
  [Contact, 'contact_id'],
  [VcardStorage, 'account_id'],
];

/** Some rows of deleted accounts. `ctid`: there is no other key in all of them; nobody changes these rows any more. */
const DELETE_OWN_ROWS = OWN_ROWS.map(
  ([{ tableName }, column]) =>
    `DELETE FROM ${tableName} WHERE ctid = ANY (ARRAY(SELECT ctid FROM ${tableName} WHERE ${column} = ANY ($1::integer[]) LIMIT $2))`,
);

/** By id: the table has partitions, of which each has a row of the same `ctid`. */
const DELETE_SENDS = 'DELETE FROM sends WHERE id = ANY (ARRAY(SELECT id FROM sends WHERE account_id = ANY ($1::integer[]) LIMIT $2))';
/** What was sent for Spaces and no account of theirs, before they were deleted. */
const DELETE_SENDS_OF_SPACES = `DELETE FROM sends WHERE id = ANY (ARRAY(
  SELECT s.id FROM pending_deletions p JOIN sends s ON s.domain = p.domain AND s.created_at <= p.deleted_at
   WHERE p.id = ANY ($1::bigint[]) AND p.account_id IS NULL LIMIT $2))`;

/** `account_id`: null for a Space. */
export type TakenDeletion = Pick<Attributes<PendingDeletion>, 'id' | 'domain' | 'account_id'>;

export class PendingDeletion extends Model<InferAttributes<PendingDeletion>, InferCreationAttributes<PendingDeletion>> {
  declare id: CreationOptional<number>;
  declare domain: string;
  /** Null for a Space, as `account_id`. */
  declare username: CreationOptional<string | null>;
  declare account_id: CreationOptional<number | null>;
  declare deleted_at: CreationOptional<Date>;

  /**
   * Takes the oldest for the transaction around it, and none that another worker has. A statement of our own: Sequelize's gives whole models.
   *
   * @param after with ids above it
   */
  static async take(max: number, after: Attributes<PendingDeletion>['id']): Promise<TakenDeletion[]> {
    return select<TakenDeletion>(
      'SELECT id, domain, account_id FROM pending_deletions WHERE id > $2 ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED',
      [max, after],
    );
  }

  /**
   * Deletes what deleted accounts had themselves, at most `limit` rows. Statements of our own, since DELETE knows no LIMIT in Sequelize.
   *
   * @returns how many; fewer than `limit` where nothing is left
   */
  static async deleteOwnRows(accountIds: readonly number[], limit: number): Promise<number> {
    let deleted = 0;
    for (const statement of [...DELETE_OWN_ROWS, DELETE_SENDS]) {
      if (deleted === limit) break;
      deleted += await execute(statement, [accountIds, limit - deleted]);
    }
    return deleted;
  }

  /** Deletes rows of the ledger of sends that were for deleted Spaces, at most `limit`. @returns how many; fewer than `limit` where nothing is left */
  static deleteSends(ids: readonly Attributes<PendingDeletion>['id'][], limit: number): Promise<number> {
    return execute(DELETE_SENDS_OF_SPACES, [ids, limit]);
  }
}
PendingDeletion.init(
  {
    id: bigId,
    domain: required(varchar(64)),
    username: optional(varchar(64)),
    account_id: optional(INTEGER),
    deleted_at: required(DATE, NOW),
  },
  { sequelize: database, tableName: 'pending_deletions' },
);
