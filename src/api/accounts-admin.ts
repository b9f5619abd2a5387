// Accounts, as admins manage them. Outside the caller's scope everything is 404.
import Joi from 'joi';
import { settings } from '../../config';
import { canonicalEmail } from '../infra/email-address';
import { fieldError, forbidden, notFound, unprocessable } from '../infra/errors';
import { ok, route, type Call, type Caller, type Reply, pathId, pathSip } from '../http/route';
import {
  ACCOUNTS_PER_PAGE,
  type AccountView,
  findAccountPage,
  findAccountViewByEmail,
  findAccountViewBySipAddress,
} from '../models/accounts/account-view';
import { createAccount, createProvisioningToken, setAccountFlag, updateAccount } from '../services/accounts/accounts';
import { markCodesShown } from '../services/accounts/change-codes';
import { deleteAccount } from '../services/accounts/deletion';
import type { PasswordAlgorithm } from '../services/credentials/secrets';
import { findRequestSpace, findSpace } from '../services/spaces/spaces';
import { presentAccount, presentAccountToAdmin, presentListedAccount } from './presenters';
import {
  algorithm,
  boolean,
  dateTime,
  dictionary,
  displayName,
  dtmfProtocol,
  email,
  pageNumber,
  password,
  phone,
  text,
  username,
} from './schemas';
import { LAST_SUPER_ADMIN, shapes } from './shapes';
import { requireAccount, requireAccountView, requireMayTakeOver, shownTo } from './visible-account';

interface AccountBody {
  username: string;
  password: string;
  algorithm: PasswordAlgorithm;
  domain?: string;
  activated?: boolean;
  admin?: boolean;
  display_name?: string;
  email?: string;
  phone?: string;
  dtmf_protocol?: string;
  dictionary?: Record<string, string>;
  confirmation_key_expires?: Date;
}

const shared = { access: 'admin', group: 'Accounts, administration' } as const;
const name = (): Joi.StringSchema => username({ allowPhone: settings.APP_ALLOW_PHONE_NUMBER_USERNAME_ADMIN_API });

const named = { username: name(), password: password(), algorithm: algorithm(), domain: text(64) };
const described = {
  admin: boolean(),
  display_name: displayName(),
  email: email(),
  phone: phone(),
  dtmf_protocol: dtmfProtocol(),
  dictionary: dictionary(),
};

const domainUnknown = fieldError('domain', 'field.domain');

/** What a look-up found. @throws {ApiError} 404 where it found nothing */
function present(view: AccountView | null, caller: Caller): Reply {
  if (!view) throw notFound('account.not_found');
  return ok(presentAccount(shownTo(caller, view)));
}

/** Where a new account goes: an admin's own domain, or what a super admin names, else the request's Space. @throws {ApiError} 403, 422 */
async function domainOfNew(caller: Caller, asked: string | undefined, host: string): Promise<string> {
  const there = asked === undefined || (await findSpace(asked)) !== null;
  if (!caller.super_admin) {
    if (!there) throw unprocessable(domainUnknown);
    return caller.domain;
  }
  if (!there) throw forbidden('space.unknown');
  return asked?.toLowerCase() ?? (await findRequestSpace(host))?.domain ?? caller.domain;
}

const userAgentOf = ({ client }: Call<string, unknown, 'admin'>): string => client.user_agent ?? settings.APP_NAME;

async function create(call: Call<string, AccountBody, 'admin'>): Promise<Reply> {
  const { confirmation_key_expires: expires, domain: asked, ...body } = call.body;
  await requireMayTakeOver(call.caller, undefined, body.admin === true);
  const domain = await domainOfNew(call.caller, asked, call.host);
  const id = await createAccount({ ...body, domain, expires, ip_address: call.client.ip, user_agent: userAgentOf(call) });
  const view = await requireAccountView(id, call.caller);
  return ok({ ...presentAccount(view), confirmation_key: view.confirmation_key });
}

/** The admin view. That an admin of a Space sees a code is remembered first; super admins answer for the installation, and could do anything anyway. */
async function showToAdmin(view: AccountView, { super_admin }: Caller): Promise<Record<string, unknown>> {
  if (!super_admin && (view.email_change_code || view.phone_change_code)) await markCodesShown(view.id);
  return presentAccountToAdmin(view);
}

async function update(call: Call<'/accounts/:id', AccountBody, 'admin'>): Promise<Reply> {
  const { domain: asked, ...body } = call.body;
  const id = pathId(call.params.id);
  await requireMayTakeOver(call.caller, call.params.id, body.admin === true);
  const moves = call.caller.super_admin && asked !== undefined;
  if (moves && (await findSpace(asked)) === null) throw unprocessable(domainUnknown);
  const domain = moves ? asked.toLowerCase() : undefined;
  if (!(await updateAccount(id, { ...body, domain, user_agent: userAgentOf(call) }, call.caller))) throw notFound('account.not_found');
  const view = await requireAccountView(id, call.caller);
  return ok({ ...(await showToAdmin(view, call.caller)), confirmation_key: view.confirmation_key });
}

/** Page numbers to show around the current one; null where some are left out. */
function pageNumbers(current: number, last: number): (number | null)[] {
  const wanted = new Set([1, 2, last - 1, last, ...Array.from({ length: 7 }, (_, n) => current - 3 + n)]);
  const shown = [...wanted].filter((page) => page >= 1 && page <= last).toSorted((a, b) => a - b);
  return shown.flatMap((page, index) => (index > 0 && page - (shown[index - 1] ?? 0) > 1 ? [null, page] : [page]));
}

async function list({ caller, query: { page } }: Call<string, unknown, 'admin', { page: number }>): Promise<Reply> {
  const { total, accounts } = await findAccountPage(page, caller);
  const last = Math.max(1, Math.ceil(total / ACCOUNTS_PER_PAGE));
  const path = `${settings.APP_URL}/api/accounts`;
  const url = (number: number): string => `${path}?page=${number}`;
  const previous = page > 1 ? url(page - 1) : null;
  const next = page < last ? url(page + 1) : null;
  const from = accounts.length === 0 ? null : (page - 1) * ACCOUNTS_PER_PAGE + 1;
  return ok({
    current_page: page,
    data: accounts.map((view) => presentListedAccount(shownTo(caller, view))),
    first_page_url: url(1),
    from,
    last_page: last,
    last_page_url: url(last),
    links: [
      { url: previous, label: '&laquo; Previous', active: false },
      ...pageNumbers(page, last).map((number) =>
        number === null ? { url: null, label: '...', active: false } : { url: url(number), label: String(number), active: number === page },
      ),
      { url: next, label: 'Next &raquo;', active: false },
    ],
    next_page_url: next,
    path,
    per_page: ACCOUNTS_PER_PAGE,
    prev_page_url: previous,
    to: from === null ? null : from + accounts.length - 1,
    total,
  });
}

const flagEndpoint = (
  verb: 'activate' | 'deactivate' | 'block' | 'unblock',
  flag: 'activated' | 'blocked',
  value: boolean,
  refusals: Record<number, string> = {},
): ReturnType<typeof route> =>
  route({
    ...shared,
    method: 'post',
    path: `/accounts/:id/${verb}`,
    scope: 'accounts:write',
    summary: `${verb[0]?.toUpperCase()}${verb.slice(1)}s an account`,
    answers: {
      200: { description: 'The account', schema: shapes.account },
      404: 'No such account',
      ...refusals,
    },
    handler: async ({ params, caller }) => {
      await requireMayTakeOver(caller, params.id, false);
      const id = pathId(params.id);
      if (!(await setAccountFlag(id, flag, value, caller))) throw notFound('account.not_found');
      return ok(presentAccount(await requireAccountView(id, caller)));
    },
  });

export const accountsAdmin = [
  route({
    ...shared,
    method: 'post',
    path: '/accounts',
    scope: 'accounts:write',
    summary: 'Makes an account',
    description: 'In the own space; a super admin may name another `domain`.',
    body: Joi.object<AccountBody, true>({ ...named, activated: boolean(), ...described, confirmation_key_expires: dateTime() }).meta({
      name: 'NewAccount',
    }),
    answers: { 200: { description: 'The account', schema: shapes.createdAccount }, 403: 'The space is full, or does not exist' },
    handler: create,
  }),
  route({
    ...shared,
    method: 'put',
    path: '/accounts/:id',
    scope: 'accounts:write',
    summary: 'Changes an account',
    description: 'What is absent is reset, but for `activated`, `blocked`, the domain and the dictionary.',
    body: Joi.object<AccountBody>({ ...named, ...described }).meta({ name: 'AccountChange' }),
    answers: {
      200: { description: 'The account', schema: shapes.changedAccount },
      403: 'The space it moves to is full',
      404: 'No such account',
    },
    handler: update,
  }),
  route({
    ...shared,
    method: 'get',
    changes: false,
    path: '/accounts',
    scope: 'accounts:read',
    summary: 'Lists accounts, 20 a page, by id',
    query: Joi.object<{ page: number }, true>({ page: pageNumber() }),
    answers: { 200: { description: 'A page', schema: shapes.accountPage } },
    handler: list,
  }),
  route({
    ...shared,
    method: 'get',
    changes: false,
    path: '/accounts/:sip/search',
    scope: 'accounts:read',
    summary: 'Finds an account by its SIP address',
    answers: { 200: { description: 'The account', schema: shapes.account }, 404: 'No such account' },
    handler: async ({ params, caller }) => present(await findAccountViewBySipAddress(pathSip(params.sip), caller), caller),
  }),
  route({
    ...shared,
    method: 'get',
    changes: false,
    path: '/accounts/:email/search-by-email',
    scope: 'accounts:read',
    summary: 'Finds an account by its email, letter case ignored',
    answers: { 200: { description: 'The account, of several the one with the lowest id', schema: shapes.account }, 404: 'No such account' },
    handler: async ({ params, caller }) => {
      if (params.email.includes('\u0000')) throw notFound('account.not_found');
      return present(await findAccountViewByEmail(canonicalEmail(params.email.trim()), caller), caller);
    },
  }),
  route({
    ...shared,
    method: 'get',
    changes: false,
    path: '/accounts/:id',
    scope: 'accounts:read',
    summary: 'Shows an account, with the codes that were sent to it',
    answers: { 200: { description: 'The account', schema: shapes.accountToAdmin }, 404: 'No such account' },
    handler: async ({ params, caller }) => ok(await showToAdmin(await requireAccountView(pathId(params.id), caller), caller)),
  }),
  route({
    ...shared,
    method: 'delete',
    path: '/accounts/:id',
    scope: 'accounts:write',
    summary: 'Deletes an account; its name stays taken',
    answers: { 200: { description: 'Deleted', schema: shapes.empty }, 404: 'No such account', 409: LAST_SUPER_ADMIN },
    handler: async ({ params, caller }) => {
      await requireMayTakeOver(caller, params.id, false);
      if (!(await deleteAccount(pathId(params.id), caller))) throw notFound('account.not_found');
      return ok();
    },
  }),
  flagEndpoint('activate', 'activated', true),
  flagEndpoint('deactivate', 'activated', false),
  flagEndpoint('block', 'blocked', true, { 409: LAST_SUPER_ADMIN }),
  flagEndpoint('unblock', 'blocked', false),
  route({
    ...shared,
    method: 'get',
    changes: true,
    path: '/accounts/:id/provision',
    scope: 'accounts:write',
    summary: 'Makes a fresh provisioning token for an account',
    answers: { 200: { description: 'The account, with the token', schema: shapes.account }, 404: 'No such account' },
    handler: async ({ params, caller, client }) => {
      await requireMayTakeOver(caller, params.id, false);
      const { id } = await requireAccount(params.id, caller);
      await createProvisioningToken(id, client.ip, client.user_agent);
      return ok(presentAccount(await requireAccountView(id, caller)));
    },
  }),
];
