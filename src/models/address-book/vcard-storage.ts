// vCards that an account keeps here, by their UID.
import { type Attributes, type CreationOptional, type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database, select } from '../../infra/sequelize';
import { accountId, dated, dates, id, required, TEXT } from '../columns';
import type { Pages } from '../pages';
import { confine, confinedTo, ofAccountsIn, type Viewer } from '../visibility';

/** Of a page, before its last card: what a list costs in memory while its reader takes its time. */
const OCTETS_PER_PAGE = 128 * 1024;
const MAX_CARDS_PER_PAGE = 500;

/** A card as lists show it. */
export type StoredCard = Pick<Attributes<VcardStorage>, 'id' | 'uuid' | 'vcard' | 'created_at' | 'updated_at'>;

export class VcardStorage extends Model<InferAttributes<VcardStorage>, InferCreationAttributes<VcardStorage>> {
  declare id: CreationOptional<number>;
  declare account_id: number;
  declare uuid: string;
  declare vcard: string;
  declare created_at: CreationOptional<Date>;
  declare updated_at: CreationOptional<Date | null>;

  /**
   * The cards of the account with the id `owner` that the viewer sees, by their own ids. Pages are cut by octets, since a card has half a megabyte where another has a hundred:
   * a statement of our own, which does so in PostgreSQL.
   */
  static async *pagesOf(viewer: Viewer, owner: number): Pages<StoredCard> {
    for (let after = 0; ;) {
      const rows = await select<StoredCard & { has_more: boolean }>(
        `SELECT id, uuid, vcard, created_at, updated_at, place < found OR found = $3 AS has_more
           FROM (SELECT v.*, row_number() OVER (ORDER BY v.id) AS place, count(*) OVER () AS found,
                        sum(octet_length(v.vcard)) OVER (ORDER BY v.id) - octet_length(v.vcard) AS before
                   FROM (SELECT id, uuid, vcard, created_at, updated_at FROM vcards_storage
                          WHERE account_id = $1 AND id > $2
                            AND ($5::text IS NULL OR account_id IN (SELECT id FROM accounts WHERE domain = $5))
                          ORDER BY id LIMIT $3) v) p
          WHERE before < $4 ORDER BY id`,
        [owner, after, MAX_CARDS_PER_PAGE, OCTETS_PER_PAGE, confinedTo(viewer)],
      );
      const { id: lastId = after, has_more: hasMore = false } = rows.at(-1) ?? {};
      yield rows;
      if (!hasMore) return;
      after = lastId;
    }
  }
}
VcardStorage.init(
  {
    id,
    account_id: accountId,
    uuid: required(TEXT),
    vcard: required(TEXT),
    ...dates,
  },
  { sequelize: database, tableName: 'vcards_storage', ...dated },
);
confine(VcardStorage, ofAccountsIn);
