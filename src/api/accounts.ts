// Accounts, as apps make and see them.
import Joi from 'joi';
import { settings } from '../../config';
import { inTransaction } from '../infra/database';
import { notFound } from '../infra/errors';
import { ok, route, type Call, type Reply, pathSip } from '../http/route';
import { Account } from '../models';
import { SYSTEM, type Viewer, visibleTo } from '../models/visibility';
import { createAccountWithToken, createProvisioningToken } from '../services/accounts/accounts';
import { deleteAccount } from '../services/accounts/deletion';
import { redeemConfirmationKey } from '../services/accounts/activation';
import { changePassword } from '../services/accounts/passwords';
import type { PasswordAlgorithm } from '../services/credentials/secrets';
import { requireOpenSpace } from '../services/credentials/standing';
import { requireRequestSpace } from '../services/spaces/spaces';
import { turnCredentials } from '../services/provisioning/turn';
import { presentAccount } from './presenters';
import { algorithm, dtmfProtocol, oneOf, password, text, username } from './schemas';
import { LAST_SUPER_ADMIN, shapes, TOO_MANY_WRONG } from './shapes';
import { requireAccountView, requireMayTakeOver, shownTo } from './visible-account';

interface AccountWithToken {
  username: string;
  password: string;
  algorithm: PasswordAlgorithm;
  account_creation_token: string;
  dtmf_protocol?: string;
}

const group = 'Accounts';
const own = { access: 'user', group } as const;
const open = { access: 'public', group } as const;

const replyWithAccount = async (id: number, viewer: Viewer): Promise<Reply> => ok(presentAccount(await requireAccountView(id, viewer)));

async function createWithToken({ body, client, host }: Call<string, AccountWithToken, 'public'>): Promise<Reply> {
  const { account_creation_token: token, ...account } = body;
  // The Space is the request's; a `domain` in the body was dropped by the schema, since nobody vouches for it.
  const space = await requireRequestSpace(host);
  requireOpenSpace(space);
  const { domain } = space;
  // The answer is made in the same transaction: an account is not made, and the token not spent, for an answer that cannot be given.
  return inTransaction(async () =>
    replyWithAccount(
      await createAccountWithToken({ ...account, domain, ip_address: client.ip, user_agent: settings.APP_NAME }, token),
      SYSTEM,
    ),
  );
}

interface PasswordBody {
  algorithm: PasswordAlgorithm;
  password: string;
  old_password?: string;
}

async function setPassword({ body, caller, client, language }: Call<string, PasswordBody, 'user'>): Promise<Reply> {
  const { account_id } = caller;
  await changePassword({ account_id, ip: client.ip }, body.algorithm, body.password, body.old_password, language);
  return ok();
}

interface KeyBody {
  confirmation_key: string;
}

/** Older apps name the key `code`; where both come that one counts. */
const keyBody = (name: string, key: () => Joi.StringSchema): Joi.ObjectSchema<KeyBody> =>
  Joi.object({ code: key(), confirmation_key: key().when('code', { not: Joi.exist(), then: Joi.required() }) })
    .custom(({ code, confirmation_key: given }: { code?: string; confirmation_key?: string }) => ({ confirmation_key: code ?? given }))
    .meta({ name, json: oneOf(['confirmation_key'], ['code']) }) as Joi.ObjectSchema<KeyBody>;

const activation = (by: 'email' | 'phone', key: () => Joi.StringSchema): ReturnType<typeof route> =>
  route({
    ...open,
    method: 'post',
    path: `/accounts/:sip/activate/${by}`,
    scope: null,
    summary: `Activates an account with the key that came by ${by} (deprecated)`,
    description: 'The key may also be called `code`.',
    deprecated: true,
    body: keyBody(by === 'email' ? 'EmailActivation' : 'PhoneActivation', key),
    answers: {
      200: { description: 'The account', schema: shapes.account },
      403: 'The account is blocked, its space has expired, or the time to activate it has passed; the key stays good',
      404: 'No such account, or not its key',
      429: TOO_MANY_WRONG,
    },
    handler: async ({ params, body, host, client }) => {
      const { username: name, domain } = pathSip(params.sip);
      const holder = { name, domain, byPhone: false };
      return replyWithAccount(await redeemConfirmationKey(holder, body.confirmation_key, { host, ip: client.ip }), SYSTEM);
    },
  });

export const accounts = [
  route({
    ...open,
    method: 'post',
    path: '/accounts/with-account-creation-token',
    scope: null,
    summary: 'Creates an account with an account creation token',
    body: Joi.object<AccountWithToken, true>({
      username: username(),
      password: password(),
      algorithm: algorithm(),
      account_creation_token: text().length(13).required(),
      dtmf_protocol: dtmfProtocol(),
    }).meta({ name: 'AccountWithToken' }),
    answers: {
      200: { description: 'The account', schema: shapes.account },
      403: 'The space is full, or has expired; the token stays good',
    },
    handler: createWithToken,
  }),
  route({
    ...open,
    method: 'get',
    changes: false,
    path: '/accounts/:sip/info',
    scope: null,
    summary: 'Tells whether an account exists and is activated',
    answers: { 200: { description: 'It exists', schema: shapes.accountInfo }, 404: 'No such account' },
    handler: async ({ params }) => {
      const { username: name, domain } = pathSip(params.sip);
      const named = Account.scope([visibleTo(SYSTEM), { method: ['named', name] }]);
      const info = await named.findOne({ attributes: ['activated'], where: { domain }, raw: true });
      if (!info) throw notFound('account.not_found');
      return ok({ activated: info.activated, realm: settings.ACCOUNT_REALM ?? null });
    },
  }),
  activation('email', () => text().length(13)),
  activation('phone', () => text().pattern(/^\d{4}$/, 'code')),
  route({
    ...own,
    method: 'get',
    changes: false,
    path: '/accounts/me',
    scope: 'accounts:read',
    summary: 'Shows the own account',
    callerView: true,
    answers: { 200: { description: 'The account', schema: shapes.account } },
    handler: async ({ caller }) =>
      caller.view ? ok(presentAccount(shownTo(caller, caller.view))) : replyWithAccount(caller.account_id, caller),
  }),
  route({
    ...own,
    method: 'delete',
    path: '/accounts/me',
    scope: 'accounts:write',
    summary: 'Deletes the own account; its name stays taken',
    answers: { 200: { description: 'Deleted', schema: shapes.empty }, 409: LAST_SUPER_ADMIN },
    handler: async ({ caller }) => {
      await requireMayTakeOver(caller, String(caller.account_id), false);
      await deleteAccount(caller.account_id, caller);
      return ok();
    },
  }),
  route({
    ...own,
    method: 'post',
    path: '/accounts/me/password',
    scope: '*',
    summary: 'Sets or changes the own password',
    description: '`old_password` is required where there is a password.',
    body: Joi.object<PasswordBody, true>({
      algorithm: algorithm(),
      password: password(),
      old_password: Joi.string().max(1024).empty([null, '']),
    }).meta({ name: 'PasswordChange' }),
    answers: { 200: { description: 'Changed', schema: shapes.empty }, 429: 'Too many wrong passwords; `retry-after` says when to go on' },
    handler: setPassword,
  }),
  route({
    ...own,
    method: 'get',
    changes: true,
    path: '/accounts/me/provision',
    scope: '*',
    summary: 'Makes a fresh provisioning token for the own account',
    answers: { 200: { description: 'The account, with the token', schema: shapes.account } },
    handler: async ({ caller, client }) => {
      await createProvisioningToken(caller.account_id, client.ip, client.user_agent);
      return replyWithAccount(caller.account_id, caller);
    },
  }),
  route({
    ...own,
    method: 'get',
    changes: false,
    path: '/accounts/me/services/turn',
    scope: 'accounts:read',
    summary: 'Makes credentials for the TURN server',
    answers: { 200: { description: 'Credentials', schema: shapes.turn }, 404: 'No TURN server is configured' },
    handler: () => {
      const credentials = turnCredentials();
      if (!credentials) throw notFound('endpoint.off');
      return Promise.resolve(ok(credentials));
    },
  }),
];
