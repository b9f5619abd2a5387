// The unsecure endpoints that older apps use; 404 unless the operator turns them on (APP_DANGEROUS_ENDPOINTS).
import Joi from 'joi';
import { settings, type Settings } from '../../config';
import { type FieldErrors, fieldError, notFound, unprocessable } from '../infra/errors';
import { ok, route, type Call, type Reply, pathSip } from '../http/route';
import { Account, Password } from '../models';
import { SYSTEM, visibleTo } from '../models/visibility';
import { redeemConfirmationKey } from '../services/accounts/activation';
import { requireFields } from '../services/accounts/fields';
import { recoverByPhone } from '../services/accounts/phone-recovery';
import { createPublicAccount } from '../services/accounts/public-creation';
import { normalisePhone } from '../infra/phone-number';
import { isCountryActivated } from '../services/accounts/phone-numbers';
import { ha1sOf, type PasswordAlgorithm } from '../services/credentials/secrets';
import { requireOpenSpace } from '../services/credentials/standing';
import { findRequestDomain, requireRequestSpace, findSpace } from '../services/spaces/spaces';
import { presentAccount } from './presenters';
import { algorithm, email, oneOf, password, phone, text, username } from './schemas';
import { shapes, TOO_MANY_SENT, TOO_MANY_WRONG } from './shapes';
import { requireAccountView } from './visible-account';

interface PublicAccount {
  username?: string;
  phone?: string;
  email?: string;
  password: string;
  algorithm: PasswordAlgorithm;
  domain?: string;
  account_creation_token: string;
}

const shared = {
  access: 'public',
  scope: null,
  group: 'Accounts, unsecure (deprecated)',
  deprecated: true,
  when: ({ APP_DANGEROUS_ENDPOINTS }: Settings): boolean => APP_DANGEROUS_ENDPOINTS,
} as const;

/** username + email, username + phone, phone alone, or all of them. @throws {ApiError} 422 */
function requireOneOf({ username: name, phone: number, email: mail }: PublicAccount): void {
  const errors: FieldErrors = {};
  if (name === undefined && number === undefined) Object.assign(errors, fieldError('username', 'field.required'));
  if (number === undefined && (name === undefined || mail === undefined)) Object.assign(errors, fieldError('phone', 'field.required'));
  if (mail === undefined && number === undefined) Object.assign(errors, fieldError('email', 'field.required'));
  if (Object.keys(errors).length > 0) throw unprocessable(errors);
}

async function create({ body, client, host, language }: Call<string, PublicAccount, 'public'>): Promise<Reply> {
  requireOneOf(body);
  const { account_creation_token: token, domain: asked, ...rest } = body;
  const space = asked === undefined ? await requireRequestSpace(host) : await findSpace(asked);
  if (space === null) throw unprocessable(fieldError('domain', 'field.domain'));
  requireOpenSpace(space);
  const { domain } = space;
  const name = rest.username ?? rest.phone ?? '';
  await requireFields({ username: { name, domain }, email: rest.email, phone: rest.phone });
  const agent = client.user_agent ?? settings.APP_NAME;
  const id = await createPublicAccount({ ...rest, username: name, domain, ip_address: client.ip, user_agent: agent }, token, language);
  return ok(presentAccount(await requireAccountView(id, SYSTEM)));
}

export const accountsUnsecure = [
  route({
    ...shared,
    method: 'post',
    path: '/accounts/public',
    summary: 'Makes an account whose key comes by mail or SMS',
    description: '`username` and `email`, `username` and `phone`, `phone` alone, or all.',
    body: Joi.object<PublicAccount>({
      username: username({ allowPhone: true }).optional(),
      phone: phone(),
      email: email(),
      password: password(),
      algorithm: algorithm(),
      domain: text(64),
      account_creation_token: text().length(13).required(),
    }).meta({ name: 'PublicAccount', json: oneOf(['username', 'email'], ['phone']) }),
    answers: {
      200: { description: 'The account', schema: shapes.account },
      403: 'The space is full, or has expired',
      404: 'Turned off',
      429: TOO_MANY_SENT,
    },
    handler: create,
  }),
  route({
    ...shared,
    method: 'get',
    changes: false,
    path: '/accounts/:phone/info-by-phone',
    summary: 'Tells whether an account has a phone number',
    answers: {
      200: { description: 'It has', schema: shapes.phoneInfo },
      404: 'Nobody has, or turned off',
      422: 'Not a number of an activated country',
    },
    handler: async ({ params, host }) => {
      const number = normalisePhone(params.phone);
      if (number === null) throw unprocessable(fieldError('phone', 'field.phone'));
      if (!(await isCountryActivated(number))) throw unprocessable(fieldError('phone', 'phone.country'));
      const accounts = Account.scope([visibleTo(SYSTEM), { method: ['called', number, 'phone'] }]);
      const where = { domain: await findRequestDomain(host) };
      const found = await accounts.findOne({ attributes: ['activated', 'phone'], where, raw: true });
      if (!found) throw notFound('account.not_found');
      return ok({ activated: found.activated, realm: settings.ACCOUNT_REALM ?? null, phone: found.phone !== null });
    },
  }),
  route({
    ...shared,
    method: 'post',
    path: '/accounts/recover-by-phone',
    summary: 'Sends a recovery code to the phone of an account',
    body: Joi.object<{ phone: string; account_creation_token: string }>({
      phone: phone().required(),
      account_creation_token: text().length(13).required(),
    }).meta({ name: 'PhoneRecovery' }),
    answers: {
      200: { description: 'Sent', schema: shapes.empty },
      403: 'The account is blocked, or its space has expired; the token stays good',
      404: 'Nobody has this phone, or turned off',
      429: TOO_MANY_SENT,
      503: 'Not sent (`reason`): the token is unused again',
    },
    handler: async ({ body, host, client, language }) => {
      if (!(await isCountryActivated(body.phone))) throw unprocessable(fieldError('phone', 'phone.country'));
      const request = { domain: await findRequestDomain(host), host, ip: client.ip };
      await recoverByPhone(body.phone, request, body.account_creation_token, language);
      return ok();
    },
  }),
  route({
    ...shared,
    method: 'get',
    changes: true,
    path: '/accounts/:sip/recover/:recover_key',
    summary: 'Gives an account, with its password hashes, for its recovery code, once',
    answers: {
      200: { description: 'The account', schema: shapes.recoveredAccount },
      403: 'The account is blocked, its space has expired, or the time to activate it has passed; the code stays good',
      404: 'Unknown, no code pending, wrong code, or turned off',
      429: TOO_MANY_WRONG,
    },
    handler: async ({ params, host, client }) => {
      const { username: given, domain } = pathSip(params.sip);
      const name = normalisePhone(given) ?? given;
      const id = await redeemConfirmationKey({ name, domain, byPhone: true }, params.recover_key, { host, ip: client.ip });
      const view = await requireAccountView(id, SYSTEM);
      const stored = await Password.findAll({ attributes: ['algorithm', 'password'], where: { account_id: id }, order: ['id'], raw: true });
      const passwords = ha1sOf(view, stored).map(([kind, ha1]) => ({ algorithm: kind, password: ha1 }));
      return ok({ ...presentAccount(view), passwords });
    },
  }),
];
