// The dictionary of an account, key by key. PUT /accounts/{id} replaces it whole.
import Joi from 'joi';
import { notFound } from '../infra/errors';
import { created, ok, route, pathId, pathText } from '../http/route';
import { AccountDictionaryEntry } from '../models';
import { visibleTo } from '../models/visibility';
import { findDictionary } from '../services/address-book/dictionary';
import { text } from './schemas';
import { shapes } from './shapes';

const shared = { access: 'admin', group: 'Dictionary' } as const;
const whereOf = (params: { id: string; key: string }): { account_id: number; key: string } => ({
  account_id: pathId(params.id),
  key: pathText(params.key),
});

export const dictionary = [
  route({
    ...shared,
    method: 'get',
    changes: false,
    path: '/accounts/:id/dictionary',
    scope: 'accounts:read',
    summary: 'Shows the dictionary of an account',
    answers: { 200: { description: 'Values by key', schema: shapes.dictionary }, 404: 'No such account' },
    handler: async ({ caller, params }) => {
      const found = await findDictionary(caller, pathId(params.id));
      if (!found) throw notFound('account.not_found');
      return ok(found);
    },
  }),
  route({
    ...shared,
    method: 'get',
    changes: false,
    path: '/accounts/:id/dictionary/:key',
    scope: 'accounts:read',
    summary: 'Shows one value',
    answers: { 200: { description: 'The value', schema: shapes.dictionaryEntry }, 404: 'No such account or key' },
    handler: async ({ caller, params }) => {
      const entry = await AccountDictionaryEntry.scope(visibleTo(caller)).findOne({ where: whereOf(params) });
      if (!entry) throw notFound('dictionary.not_found');
      return ok({ value: entry.value });
    },
  }),
  route({
    ...shared,
    method: 'post',
    path: '/accounts/:id/dictionary/:key',
    scope: 'accounts:write',
    summary: 'Sets one value, whether the key is new or not',
    params: Joi.object({ id: Joi.string(), key: text().required() }),
    body: Joi.object<{ value: string }, true>({ value: text().required() }),
    answers: { 201: { description: 'The value', schema: shapes.dictionaryEntry }, 404: 'No such account' },
    handler: async ({ caller, params, body: { value } }) => {
      const stored = await AccountDictionaryEntry.put(caller, { account_id: pathId(params.id), key: params.key, value });
      if (!stored) throw notFound('account.not_found');
      return created({ value });
    },
  }),
  route({
    ...shared,
    method: 'delete',
    path: '/accounts/:id/dictionary/:key',
    scope: 'accounts:write',
    summary: 'Removes one key',
    answers: { 200: { description: 'Removed', schema: shapes.empty }, 404: 'No such account or key' },
    handler: async ({ caller, params }) => {
      const deleted = await AccountDictionaryEntry.scope(visibleTo(caller)).destroy({ where: whereOf(params) });
      if (deleted === 0) throw notFound('dictionary.not_found');
      return ok();
    },
  }),
];
