// The account that a request is about, where the caller may see it; else 404. And what a key with few scopes does not see of it: what would let its
// holder be somebody who may do more than the key.
import { forbidden, notFound } from '../infra/errors';
import { type Caller, pathId } from '../http/route';
import { Account } from '../models';
import { type AccountView, findAccountView } from '../models/accounts/account-view';
import { type Viewer, visibleTo } from '../models/visibility';
import { mayUse, type Scopes } from '../services/credentials/identities';

/** The account that the path names by number. @throws {ApiError} 404 outside the caller's scope */
export async function requireAccount(id: string, caller: Caller): Promise<Pick<Account, 'id' | 'username' | 'domain'>> {
  const account = await Account.scope(visibleTo(caller)).findByPk(pathId(id), { attributes: ['id', 'username', 'domain'], raw: true });
  if (!account) throw notFound('account.not_found');
  return account;
}

/** Whoever asks; the program itself, and a person, are limited by no scopes. */
type Asker = Viewer & { readonly scopes?: Scopes };

/**
 * Whether the asker may come by what signs an account in: its provisioning token, codes that were sent to it, a password of the asker's choice. An admin signs in
 * with all scopes, so that it takes all of them.
 */
const mayTakeOver = ({ scopes = null }: Asker, { admin }: Pick<Account, 'admin'>): boolean =>
  mayUse(scopes, admin ? '*' : 'accounts:write');

/** What the asker may see of an account: without its provisioning token and codes, where those would give away more than the asker has. */
export function shownTo(asker: Asker, view: AccountView): AccountView {
  if (mayTakeOver(asker, view)) return view;
  return { ...view, provisioning: null, confirmation_key: null, email_change_code: null, phone_change_code: null };
}

/**
 * Refuses a key that would make an admin, an admin's credentials, or that an admin may act or not, and has not all scopes.
 *
 * @param id of the account that it would change; undefined: it makes one
 * @param becomesAdmin whether the account is to be an admin
 * @throws {ApiError} 403
 */
export async function requireMayTakeOver(caller: Caller, id: string | undefined, becomesAdmin: boolean): Promise<void> {
  if (mayTakeOver(caller, { admin: true })) return;
  const accounts = Account.scope(visibleTo(caller));
  const admin = becomesAdmin || (id !== undefined && (await accounts.count({ where: { id: pathId(id), admin: true } })) > 0);
  if (admin) throw forbidden('auth.scope', { scope: '*' });
}

/** The account with all that presenters may show of it to the asker. @throws {ApiError} 404 where the asker sees none */
export async function requireAccountView(id: number, asker: Asker): Promise<AccountView> {
  const view = await findAccountView(id, asker);
  if (!view) throw notFound('account.not_found');
  return shownTo(asker, view);
}
