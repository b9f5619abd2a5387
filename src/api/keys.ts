// Auth tokens and API keys.
import Joi from 'joi';
import { notFound } from '../infra/errors';
import { created, ok, route, type Reply } from '../http/route';
import { issueApiKey } from '../services/credentials/api-keys';
import { attachAuthToken, createAuthToken, exchangeAuthToken } from '../services/credentials/auth-tokens';
import { presentAuthToken } from './presenters';
import { shapes } from './shapes';

const group = 'API keys';
const KEY_COOKIE = { 'set-cookie': 'The key once more, for pages of this server' };

/** The key, also as a cookie, so that the server's pages know whoever has asked for it in a browser. */
const replyWithKey = (key: string, body: unknown): Reply => ({ ...ok(body), apiKeyCookie: key });

export const keys = [
  route({
    method: 'post',
    path: '/accounts/auth_token',
    access: 'public',
    scope: null,
    group,
    summary: 'Makes an auth token, good for five minutes',
    answers: { 201: { description: 'The token', schema: shapes.authToken } },
    handler: async ({ client }) => created(presentAuthToken(await createAuthToken(client.ip, client.user_agent))),
  }),
  route({
    method: 'get',
    changes: true,
    path: '/accounts/auth_token/:auth_token/attach',
    access: 'user',
    scope: '*',
    group,
    summary: 'Attaches an auth token to the own account',
    answers: { 200: { description: 'Attached', schema: shapes.empty }, 404: 'Unknown, older than five minutes, or attached already' },
    handler: async ({ params, caller }) => {
      if (!(await attachAuthToken(params.auth_token, caller.account_id))) throw notFound('auth_token.invalid');
      return ok();
    },
  }),
  route({
    method: 'get',
    changes: true,
    path: '/accounts/me/api_key',
    access: 'user',
    scope: '*',
    group,
    summary: 'Makes a fresh API key; the one before stops working',
    description: 'Bound to the address it was asked from. It comes as a cookie, too.',
    formats: ['text/plain', 'application/json'],
    answers: { 200: { description: 'The key, as plain text', schema: Joi.string().length(40), headers: KEY_COOKIE } },
    handler: async ({ caller, client }) => {
      const key = await issueApiKey(caller.account_id, client.ip);
      return replyWithKey(key, key);
    },
  }),
  route({
    method: 'get',
    changes: true,
    path: '/accounts/me/api_key/:auth_token',
    access: 'public',
    scope: null,
    group,
    summary: 'Exchanges an attached auth token for an API key, once',
    description: 'Where the answer was lost, the same address may ask again within a minute.',
    answers: {
      200: { description: 'The key', schema: shapes.apiKey, headers: KEY_COOKIE },
      403: 'The account is blocked, or its space has expired; the token stays good',
      404: 'Unknown, older than five minutes, used, or not attached',
    },
    handler: async ({ params, client, host }) => {
      const delivery = await exchangeAuthToken(params.auth_token, client.ip, host);
      if (delivery === null) throw notFound('auth_token.invalid');
      const { value: key, settle } = delivery;
      return { ...replyWithKey(key, { api_key: key }), settle };
    },
  }),
];
