// Pages of accounts in the order of their ids, each at the same small cost (migrations/0003).
import { inTransaction } from '../../infra/database';
import { select } from '../../infra/sequelize';
import { ACCOUNT_VIEW, type AccountView } from '../../models/accounts/account-view';

export const PER_PAGE = 20;

export interface AccountPage {
  total: number;
  accounts: AccountView[];
}

/**
 * One page. The counts of the blocks before it say where it begins; only its own block is walked.
 *
 * @param domain the Space that the caller manages; null for all
 */
export async function findAccountPage(page: number, domain: string | null): Promise<AccountPage> {
  const offset = (page - 1) * PER_PAGE;
  const scope = domain === null ? '' : 'WHERE domain = $2';
  const bind = domain === null ? [offset] : [offset, domain];
  const [place] = await select<{ total: number; first_id: number | null; skipped: number | null }>(
    `WITH blocks AS (
       SELECT block, sum(accounts) AS accounts
         FROM (SELECT domain, block, accounts FROM account_counts ${scope}
               UNION ALL SELECT domain, block, accounts FROM account_count_changes ${scope}) AS counted
        GROUP BY block
     ), running AS (
       SELECT block, accounts, sum(accounts) OVER (ORDER BY block) - accounts AS before FROM blocks
     ), place AS (
       SELECT block * 1000 AS first_id, before FROM running WHERE before <= $1 AND before + accounts > $1
     )
     SELECT coalesce((SELECT sum(accounts) FROM blocks), 0)::bigint AS total,
            (SELECT first_id FROM place) AS first_id, (SELECT $1 - before FROM place)::bigint AS skipped`,
    bind,
  );
  const { total = 0, first_id: firstId = null, skipped = null } = place ?? {};
  if (firstId === null || skipped === null) return { total, accounts: [] };
  const accounts = await select<AccountView>(
    `${ACCOUNT_VIEW} WHERE a.id IN (
       SELECT id FROM accounts WHERE id >= $1 ${domain === null ? '' : 'AND domain = $4'} ORDER BY id OFFSET $2 LIMIT $3) ORDER BY a.id`,
    [firstId, skipped, PER_PAGE, ...(domain === null ? [] : [domain])],
  );
  return { total, accounts };
}

/** Folds what the triggers appended into the counts. Safe in any number of workers at once. @returns how many changes */
export async function foldAccountCounts(): Promise<number> {
  return inTransaction(async () => {
    const [folded] = await select<{ changes: number }>(
      `WITH taken AS (DELETE FROM account_count_changes RETURNING domain, block, accounts), sums AS (
         SELECT domain, block, sum(accounts)::integer AS accounts FROM taken GROUP BY domain, block ORDER BY domain, block
       ), folded AS (
         INSERT INTO account_counts AS c (domain, block, accounts) SELECT domain, block, accounts FROM sums
         ON CONFLICT (domain, block) DO UPDATE SET accounts = c.accounts + excluded.accounts
       )
       SELECT count(*)::integer AS changes FROM taken`,
    );
    await select('DELETE FROM account_counts WHERE accounts = 0 RETURNING block');
    return folded?.changes ?? 0;
  });
}
