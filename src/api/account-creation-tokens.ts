// Account creation tokens: sent to a device by push, or made by an admin.
import Joi from 'joi';
import { notFound } from '../infra/errors';
import { created, ok, route, type Call, type Reply } from '../http/route';
import { confirmSent, consumeForAccount, createCreationToken } from '../services/tokens/creation-tokens';
import { sendPush } from '../services/messaging/pushes';
import { requireOpenSpace } from '../services/credentials/standing';
import { findRequestSpace } from '../services/spaces/spaces';
import { createRequestToken, exchangeRequestToken } from '../services/tokens/request-tokens';
import { presentCreationToken, presentRequestToken } from './presenters';
import { deviceOf, pushTarget, text, type PushTarget } from './schemas';
import { shapes } from './shapes';

/** A token for an account that could not be made is of no use, and a push costs somebody's battery. @returns the Space's domain @throws {ApiError} 403 */
async function requireOpen(host: string): Promise<string | undefined> {
  const space = await findRequestSpace(host);
  requireOpenSpace(space);
  return space?.domain;
}
const EXPIRED = 'The space of the request has expired';

async function sendByPush({ body, client, host }: Call<string, PushTarget, 'public'>): Promise<Reply> {
  const domain = await requireOpen(host);
  await sendPush(
    {
      kind: 'creation_token',
      ...(domain === undefined ? {} : { domain }),
      ...deviceOf(body),
      ip: client.ip,
      user_agent: client.user_agent?.slice(0, 255) ?? null,
      asker_confirms: true,
    },
    confirmSent,
  );
  return ok();
}

export const accountCreationTokens = [
  route({
    method: 'post',
    path: '/account_creation_tokens/send-by-push',
    access: 'public',
    scope: null,
    group: 'Account creation tokens',
    summary: 'Sends an account creation token to a device by push notification',
    description: 'The token is in the push alone, never in the answer.',
    body: Joi.object<PushTarget, true>(pushTarget).meta({ name: 'PushTarget' }),
    answers: {
      200: { description: 'The push service took the notification', schema: shapes.empty },
      403: {
        description:
          'The device has an unused token that was sent to it lately, or was sent too many (`reason`), or the space of the request has expired',
        headers: { 'retry-after': 'Of a device that was sent tokens: seconds until it may be sent another one' },
      },
      503: 'Not sent: not configured, refused, device unknown, or no answer in time (`reason`). No token is left that could be used',
    },
    handler: sendByPush,
  }),
  route({
    method: 'post',
    path: '/account_creation_tokens',
    access: 'admin',
    scope: 'accounts:write',
    group: 'Account creation tokens',
    summary: 'Makes an account creation token',
    answers: { 201: { description: 'The token', schema: shapes.creationToken } },
    handler: async ({ client }) => created(presentCreationToken(await createCreationToken(client))),
  }),
  route({
    method: 'post',
    path: '/account_creation_request_tokens',
    access: 'public',
    scope: null,
    group: 'Account creation tokens',
    summary: 'Makes a request token, and the address of the page on which a person validates it',
    answers: { 201: { description: 'The token', schema: shapes.requestToken }, 403: EXPIRED },
    handler: async ({ client, host }) => {
      await requireOpen(host);
      return created(presentRequestToken(await createRequestToken(client)));
    },
  }),
  route({
    method: 'post',
    path: '/account_creation_tokens/using-account-creation-request-token',
    access: 'public',
    scope: null,
    group: 'Account creation tokens',
    summary: 'Exchanges a validated request token for an account creation token, once',
    body: Joi.object<{ account_creation_request_token: string }, true>({ account_creation_request_token: text().required() }),
    answers: {
      201: { description: 'The token', schema: shapes.creationToken },
      403: `${EXPIRED}; the request token stays good`,
      404: 'Unknown, used, expired, or not validated',
    },
    handler: async ({ body, client, host }) => {
      await requireOpen(host);
      const made = await exchangeRequestToken(body.account_creation_request_token, client);
      // Apps look for the field at fault beside the message.
      if (!made)
        throw notFound(
          'request_token.invalid',
          {},
          { errors: { account_creation_request_token: [{ key: 'request_token.invalid', values: {} }] } },
        );
      return created(presentCreationToken(made));
    },
  }),
  route({
    method: 'post',
    path: '/account_creation_tokens/consume',
    access: 'user',
    scope: 'accounts:write',
    group: 'Account creation tokens',
    summary: 'Uses an account creation token up for the own account',
    description: 'After that the account may ask for codes by mail and SMS.',
    body: Joi.object<{ account_creation_token: string }, true>({ account_creation_token: text().required() }),
    answers: { 200: { description: 'The token', schema: shapes.creationToken }, 404: 'Unknown, used, or expired' },
    handler: async ({ body, caller, client }) => {
      const used = await consumeForAccount(body.account_creation_token, caller.account_id, client);
      if (!used) throw notFound('creation_token.invalid');
      return ok(presentCreationToken(used));
    },
  }),
];
