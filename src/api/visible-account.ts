// The account that a request is about, where the caller may see it; else 404.
import { notFound } from '../infra/errors';
import { type Caller, pathId } from '../http/route';
import { Account } from '../models';
import { type AccountView, findAccountView } from '../models/accounts/account-view';
import { type Viewer, visibleTo } from '../models/visibility';

/** The account that the path names by number. @throws {ApiError} 404 outside the caller's scope */
export async function requireAccount(id: string, caller: Caller): Promise<Pick<Account, 'id' | 'username' | 'domain'>> {
  const account = await Account.scope(visibleTo(caller)).findByPk(pathId(id), { attributes: ['id', 'username', 'domain'], raw: true });
  if (!account) throw notFound('account.not_found');
  return account;
}

/** The account with all that presenters show of it. @throws {ApiError} 404 where the viewer sees none */
export async function requireAccountView(id: number, viewer: Viewer): Promise<AccountView> {
  const view = await findAccountView(id, viewer);
  if (!view) throw notFound('account.not_found');
  return view;
}
