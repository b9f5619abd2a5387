// The dictionary of an account, key by key. PUT /accounts/{id} replaces it whole.
import Joi from 'joi';
import { notFound } from '../infra/errors';
import { created, ok, route } from '../http/route';
import { deleteEntry, findDictionary, findEntry, setEntry } from '../services/address-book/dictionary';
import { pathId, pathText, scopeOf } from './parameters';
import { text } from './schemas';
import { shapes } from './shapes';

const shared = { access: 'admin', group: 'Dictionary' } as const;

export const dictionary = [
  route({
    ...shared,
    method: 'get',
    path: '/accounts/:id/dictionary',
    summary: 'Shows the dictionary of an account',
    answers: { 200: { description: 'Values by key', schema: shapes.dictionary }, 404: 'No such account' },
    handler: async ({ caller, params }) => {
      const found = await findDictionary(pathId(params.id), scopeOf(caller));
      if (!found) throw notFound('account.not_found');
      return ok(found);
    },
  }),
  route({
    ...shared,
    method: 'get',
    path: '/accounts/:id/dictionary/:key',
    summary: 'Shows one value',
    answers: { 200: { description: 'The value', schema: shapes.dictionaryEntry }, 404: 'No such account or key' },
    handler: async ({ caller, params }) => {
      const value = await findEntry(pathId(params.id), pathText(params.key), scopeOf(caller));
      if (value === null) throw notFound('dictionary.not_found');
      return ok({ value });
    },
  }),
  route({
    ...shared,
    method: 'post',
    path: '/accounts/:id/dictionary/:key',
    summary: 'Sets one value, whether the key is new or not',
    params: Joi.object({ id: Joi.string(), key: text().required() }),
    body: Joi.object<{ value: string }, true>({ value: text().required() }),
    answers: { 201: { description: 'The value', schema: shapes.dictionaryEntry }, 404: 'No such account' },
    handler: async ({ caller, params, body: { value } }) => {
      if (!(await setEntry(pathId(params.id), params.key, value, scopeOf(caller)))) throw notFound('account.not_found');
      return created({ value });
    },
  }),
  route({
    ...shared,
    method: 'delete',
    path: '/accounts/:id/dictionary/:key',
    summary: 'Removes one key',
    answers: { 200: { description: 'Removed', schema: shapes.empty }, 404: 'No such account or key' },
    handler: async ({ caller, params }) => {
      if (!(await deleteEntry(pathId(params.id), pathText(params.key), scopeOf(caller)))) throw notFound('dictionary.not_found');
      return ok();
    },
  }),
];
