// What an account's stored cards come to; triggers of its table count it (migrations/0012-a-year-of-life.ts).
import { type InferAttributes, type InferCreationAttributes, Model } from 'sequelize';
import { database, select } from '../../infra/sequelize';
import { BIGINT, INTEGER, required } from '../columns';

/** An account's cards, and one of them. */
export interface VcardRoom {
  cards: number;
  /** Of all cards, in UTF-8. */
  bytes: number;
  /** Of the card with the UID; null where there is none. */
  replaced: number | null;
}

export class VcardUsage extends Model<InferAttributes<VcardUsage>, InferCreationAttributes<VcardUsage>> {
  declare account_id: number;
  declare cards: number;
  declare bytes: number;

  /** What an account has, and what the card with the UID `uuid` has of it. One statement, since each write of a card begins with it. */
  static async of(account_id: number, uuid: string): Promise<VcardRoom> {
    const [usage] = await select<VcardRoom>(
      `SELECT coalesce(u.cards, 0) AS cards, coalesce(u.bytes, 0) AS bytes,
              (SELECT octet_length(vcard) FROM vcards_storage WHERE account_id = $1 AND uuid = $2) AS replaced
         FROM (SELECT 1) one LEFT JOIN vcard_usages u ON u.account_id = $1`,
      [account_id, uuid],
    );
    return usage ?? { cards: 0, bytes: 0, replaced: null };
  }
}
VcardUsage.init(
  {
    account_id: { ...required(INTEGER), primaryKey: true },
    cards: required(INTEGER),
    bytes: required(BIGINT),
  },
  { sequelize: database, tableName: 'vcard_usages' },
);
