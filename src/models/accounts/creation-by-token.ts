// What the making of an account by a creation token asks of several tables at once: apps make accounts all day, and each statement is a way to the database.
import type { Attributes } from 'sequelize';
import { select } from '../../infra/sequelize';
import { caselessUsernames } from '../../infra/sip-uri';
import type { Space } from '../spaces/space';
import { type AccountCreationToken, redeemSql, usableSql } from '../tokens/account-creation-token';
import { type AccountName, namedSql } from './account';

type Token = Attributes<AccountCreationToken>['token'];
type Terms = Pick<Attributes<Space>, 'max_accounts' | 'expire_at'>;

/** What may stand in the way of an account. */
export interface Prospect {
  /** An account, or a tombstone, has the name, letter case ignored. */
  isTaken: boolean;
  /** The token may be used. */
  isUsable: boolean;
  /** Of the Space; null where there is no such Space. */
  terms: Terms | null;
}

/** What stands in the way of an account now. */
export async function findProspect({ username, domain }: AccountName, token: Token): Promise<Prospect> {
  type Row = { taken: boolean; usable: boolean; max_accounts: number | null; expire_at: Date | null };
  const NAMED = namedSql('$1', '$2');
  const [row] = await select<Row>(
    `SELECT EXISTS (SELECT 1 FROM accounts WHERE ${NAMED}) OR EXISTS (SELECT 1 FROM accounts_tombstones WHERE ${NAMED}) AS taken,
            EXISTS (SELECT 1 FROM account_creation_tokens WHERE token = $3 AND ${usableSql()}) AS usable, s.max_accounts, s.expire_at
       FROM (SELECT $2::text AS domain) asked LEFT JOIN spaces s ON s.domain = asked.domain`,
    [caselessUsernames(username), domain, token],
  );
  const { taken, usable, max_accounts, expire_at } = row as Row;
  return { isTaken: taken, isUsable: usable, terms: max_accounts === null ? null : { max_accounts, expire_at } };
}

/**
 * Uses a token up for an account that was just inserted: of two callers one wins. And looks again whether an account of that name was deleted: the
 * insert may have waited for that very deletion, so that only a later statement sees it.
 */
export async function redeemForNew(
  token: Token,
  { id, username, domain }: AccountName & { id: number },
): Promise<{ isRedeemed: boolean; isBuried: boolean }> {
  type Row = { redeemed: boolean; buried: boolean };
  const [row] = await select<Row>(
    // The row of the ledger that brought the token was made with it, in the second to which its own moment is rounded: it needs no index of its own.
    `WITH redeemed AS (${redeemSql('$3', '$4')} RETURNING id, created_at),
          converted AS (
            UPDATE sends s SET converted_at = now() FROM redeemed r
             WHERE s.created_at BETWEEN r.created_at - interval '500 milliseconds' AND r.created_at + interval '500 milliseconds' AND s.subject_id = r.id AND s.kind = 'creation_token')
     SELECT EXISTS (SELECT 1 FROM redeemed) AS redeemed, EXISTS (SELECT 1 FROM accounts_tombstones WHERE ${namedSql('$1', '$2')}) AS buried`,
    [caselessUsernames(username), domain, token, id],
  );
  const { redeemed, buried } = row as Row;
  return { isRedeemed: redeemed, isBuried: buried };
}
