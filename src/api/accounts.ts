// Accounts, as apps make and see them.
import Joi from 'joi';
import { settings } from '../../config';
import { notFound } from '../errors';
import { ok, route, type Call, type Reply } from '../http/route';
import { createAccountWithToken } from '../services/accounts';
import { findAccountView } from '../services/account-views';
import type { PasswordAlgorithm } from '../services/secrets';
import { findRequestSpace } from '../services/spaces';
import { presentAccount } from './presenters';
import { algorithm, dtmfProtocol, password, shapes, text, username } from './schemas';

interface AccountWithToken {
  username: string;
  password: string;
  algorithm: PasswordAlgorithm;
  account_creation_token: string;
  dtmf_protocol?: string;
}

async function replyWithAccount(id: number): Promise<Reply> {
  const view = await findAccountView(id);
  if (!view) throw notFound('account.not_found');
  return ok(presentAccount(view));
}

async function createWithToken({ body, client, host }: Call<string, AccountWithToken, 'public'>): Promise<Reply> {
  const { account_creation_token: token, ...account } = body;
  // The Space is the request's; a `domain` in the body was dropped by the schema (api.md 1.8).
  const space = await findRequestSpace(host);
  const domain = space?.domain ?? settings.APP_SIP_DOMAIN;
  return replyWithAccount(await createAccountWithToken({ ...account, domain, ip_address: client.ip }, token));
}

export const accounts = [
  route({
    method: 'post',
    path: '/accounts/with-account-creation-token',
    access: 'public',
    group: 'Accounts',
    summary: 'Creates an account with an account creation token',
    body: Joi.object<AccountWithToken, true>({
      username: username(),
      password: password(),
      algorithm: algorithm(),
      account_creation_token: text().length(13).required(),
      dtmf_protocol: dtmfProtocol(),
    }),
    answers: { 200: { description: 'The account', schema: shapes.account }, 403: 'The space is full' },
    handler: createWithToken,
  }),
  route({
    method: 'get',
    path: '/accounts/me',
    access: 'user',
    group: 'Accounts',
    summary: 'Shows the own account',
    answers: { 200: { description: 'The account', schema: shapes.account } },
    handler: ({ caller }) => replyWithAccount(caller.account_id),
  }),
];
