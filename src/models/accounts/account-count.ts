// Accounts by domain and block of a thousand ids, for pages; triggers append the changes (migrations/0003-account-counts.ts).
import { type Attributes, type CreationOptional, type InferAttributes, type InferCreationAttributes, Model, Op } from 'sequelize';
import { inTransaction } from '../../infra/database';
import { database, select } from '../../infra/sequelize';
import { BIGINT, INTEGER, required, varchar, bigId } from '../columns';
import { confinedTo, type Viewer } from '../visibility';
import type { Account } from './account';

/** Where a page of accounts begins. */
export interface PageStart {
  /** Accounts that the viewer sees. */
  total: number;
  /** The first id that the page's block may have; null: the page is past the end. */
  first_id: Attributes<Account>['id'] | null;
  /** Accounts of that block that stand before the page. */
  skipped: number;
}

/** Of a thousand ids each. */
const BLOCKS_IN_GROUP = 100;
/** Changes that are folded in one statement at most. */
const MAX_FOLDED = 10_000;
/** Changes of a Space that may wait for being folded while it is counted. */
const MAX_UNFOLDED = 1000;

export class AccountCount extends Model<InferAttributes<AccountCount>, InferCreationAttributes<AccountCount>> {
  declare domain: string;
  declare block: number;
  declare accounts: number;

  /**
   * Where the account with so many before it stands, in the order of ids. One statement over the counts: of groups of blocks first, then of the blocks
   * of one group, so that some hundred rows are read among ten million accounts; an OFFSET would walk all the accounts before it.
   */
  static async findPageStart(offset: number, viewer: Viewer): Promise<PageStart> {
    const domain = confinedTo(viewer);
    const own = domain === null ? 'true' : 'domain = $2';
    const inGroup = `${own} AND block >= (SELECT first_block FROM group_place) AND block < (SELECT first_block FROM group_place) + ${BLOCKS_IN_GROUP}`;
    const [start] = await select<Omit<PageStart, 'skipped'> & { skipped: number | null }>(
      `WITH groups AS (
         SELECT blocks, sum(accounts) AS accounts
           FROM (SELECT blocks, accounts FROM account_count_groups WHERE ${own}
                 UNION ALL SELECT block / ${BLOCKS_IN_GROUP}, accounts FROM account_count_changes WHERE ${own}) AS counted
          GROUP BY blocks
       ), running_groups AS (
         SELECT blocks, accounts, sum(accounts) OVER (ORDER BY blocks) - accounts AS before FROM groups
       ), group_place AS (
         SELECT blocks * ${BLOCKS_IN_GROUP} AS first_block, before FROM running_groups WHERE before <= $1 AND before + accounts > $1
       ), blocks AS (
         SELECT block, sum(accounts) AS accounts
           FROM (SELECT block, accounts FROM account_counts WHERE ${inGroup}
                 UNION ALL SELECT block, accounts FROM account_count_changes WHERE ${inGroup}) AS counted
          GROUP BY block
       ), running AS (
         SELECT block, accounts, (SELECT before FROM group_place) + sum(accounts) OVER (ORDER BY block) - accounts AS before FROM blocks
       ), place AS (
         SELECT block * 1000 AS first_id, before FROM running WHERE before <= $1 AND before + accounts > $1
       )
       SELECT coalesce((SELECT sum(accounts) FROM groups), 0)::bigint AS total,
              (SELECT first_id FROM place) AS first_id, (SELECT $1 - before FROM place)::bigint AS skipped`,
      domain === null ? [offset] : [offset, domain],
    );
    return { total: start?.total ?? 0, first_id: start?.first_id ?? null, skipped: start?.skipped ?? 0 };
  }

  /**
   * How many accounts a Space has: the same effort for any number. A statement of our own, which takes the total and the changes that are not in
   * it yet from one snapshot. For whoever holds the Space's lock it is exact: nobody adds an account meanwhile.
   */
  static async ofDomain(domain: Attributes<AccountTotal>['domain']): Promise<number> {
    const [counted] = await select<{ accounts: number; unfolded: number }>(
      `SELECT coalesce((SELECT accounts FROM account_totals WHERE domain = $1), 0) + coalesce(sum(accounts), 0)::bigint AS accounts,
              count(*)::integer AS unfolded FROM account_count_changes WHERE domain = $1`,
      [domain],
    );
    // Where no worker folds, who counts does.
    if (counted && counted.unfolded > MAX_UNFOLDED) await AccountCount.fold(domain);
    return counted?.accounts ?? 0;
  }

  /**
   * Folds what the triggers appended into the counts, oldest first, some thousand changes a statement, so that no reader ever sees a change twice or not
   * at all. Safe in several processes at once: each folds what nobody else does.
   *
   * @param domain only what changed there
   * @returns how many changes it took
   */
  static async fold(domain: string | null = null): Promise<number> {
    let changes = 0;
    for (let some = MAX_FOLDED; some === MAX_FOLDED; changes += some) some = await AccountCount.#foldSome(domain);
    return changes;
  }

  static async #foldSome(domain: string | null): Promise<number> {
    return inTransaction(async () => {
      const blocks = await select<{ domain: string; block: number; accounts: number; changes: number }>(
        `WITH oldest AS (
           SELECT id FROM account_count_changes WHERE $2::text IS NULL OR domain = $2 ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
         ), taken AS (
           DELETE FROM account_count_changes WHERE id = ANY (ARRAY(SELECT id FROM oldest)) RETURNING domain, block, accounts
         ), sums AS (
           SELECT domain, block, sum(accounts)::integer AS accounts, count(*)::integer AS changes FROM taken GROUP BY domain, block
            ORDER BY domain, block
         ), folded AS (
           INSERT INTO account_counts AS c (domain, block, accounts) SELECT domain, block, accounts FROM sums
           ON CONFLICT (domain, block) DO UPDATE SET accounts = c.accounts + excluded.accounts
           RETURNING c.domain, c.block, c.accounts
         )
         SELECT f.domain, f.block, f.accounts, s.changes FROM folded f JOIN sums s USING (domain, block)`,
        [MAX_FOLDED, domain],
      );
      const empty = blocks.filter(({ accounts }) => accounts === 0).map((counted) => ({ domain: counted.domain, block: counted.block }));
      if (empty.length > 0) await AccountCount.destroy({ where: { accounts: 0, [Op.or]: empty } });
      return blocks.reduce((sum, { changes }) => sum + changes, 0);
    });
  }
}
AccountCount.init(
  {
    domain: { ...required(varchar(64)), primaryKey: true },
    block: { ...required(INTEGER), primaryKey: true },
    accounts: required(INTEGER),
  },
  { sequelize: database, tableName: 'account_counts' },
);

export class AccountCountChange extends Model<InferAttributes<AccountCountChange>, InferCreationAttributes<AccountCountChange>> {
  declare id: CreationOptional<number>;
  declare domain: string;
  declare block: number;
  declare accounts: number;
}
AccountCountChange.init(
  {
    id: bigId,
    domain: required(varchar(64)),
    block: required(INTEGER),
    accounts: required(INTEGER),
  },
  { sequelize: database, tableName: 'account_count_changes' },
);

/** Accounts of a domain by a hundred blocks, as their counts add up to; triggers keep it (migrations/0017-account-count-groups.ts). */
export class AccountCountGroup extends Model<InferAttributes<AccountCountGroup>, InferCreationAttributes<AccountCountGroup>> {
  declare domain: string;
  /** The number of each of its blocks, divided by a hundred. */
  declare blocks: number;
  declare accounts: number;
}
AccountCountGroup.init(
  {
    domain: { ...required(varchar(64)), primaryKey: true },
    blocks: { ...required(INTEGER), primaryKey: true },
    accounts: required(INTEGER),
  },
  { sequelize: database, tableName: 'account_count_groups' },
);

/** Accounts of a domain in all, as the counts of its blocks add up to; triggers keep it (migrations/0010-counters.ts). */
export class AccountTotal extends Model<InferAttributes<AccountTotal>, InferCreationAttributes<AccountTotal>> {
  declare domain: string;
  declare accounts: number;
}
AccountTotal.init(
  {
    domain: { ...required(varchar(64)), primaryKey: true },
    accounts: required(BIGINT),
  },
  { sequelize: database, tableName: 'account_totals' },
);
