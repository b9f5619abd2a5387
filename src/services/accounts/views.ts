// What presenters need of an account, read in one statement whatever hangs on it.
import { select } from '../../infra/sequelize';
import { ACCOUNT_VIEW, type AccountView } from '../../models/accounts/account-view';

/** An account's view, where the caller may see it; `domain` null: everywhere. */
export async function findAccountView(id: number, domain: string | null = null): Promise<AccountView | null> {
  const [view] = await select<AccountView>(`${ACCOUNT_VIEW} WHERE a.id = $1 AND ($2::text IS NULL OR a.domain = $2)`, [id, domain]);
  return view ?? null;
}

export async function findAccountViewBySip(username: string, domain: string, scope: string | null): Promise<AccountView | null> {
  const [view] = await select<AccountView>(
    `${ACCOUNT_VIEW} WHERE a.username = $1 AND a.domain = $2 AND ($3::text IS NULL OR a.domain = $3)`,
    [username, domain, scope],
  );
  return view ?? null;
}

/** Letter case ignored; of several the lowest id. The set is taken by the index on emails first: ordered by id, all accounts would be walked. */
export async function findAccountViewByEmail(email: string, scope: string | null): Promise<AccountView | null> {
  const [view] = await select<AccountView>(
    `WITH found AS MATERIALIZED (SELECT id FROM accounts WHERE lower(email) = lower($1) AND ($2::text IS NULL OR domain = $2))
     ${ACCOUNT_VIEW} WHERE a.id = (SELECT min(id) FROM found)`,
    [email, scope],
  );
  return view ?? null;
}
