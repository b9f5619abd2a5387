// Types of accounts, and which account has which.
import Joi from 'joi';
import { forbidden, notFound } from '../errors';
import { created, ok, route, type Reply } from '../http/route';
import {
  createAccountType,
  deleteAccountType,
  findAccountType,
  findAccountTypes,
  updateAccountType,
  type AccountTypeRow,
} from '../services/account-types';
import { addLink, removeLink } from '../services/links';
import { presentAccountType } from './presenters';
import { pathId, scopeOf } from './scope';
import { key } from './schemas';
import { shapes } from './shapes';

const shared = { access: 'admin', group: 'Account types' } as const;
const body = Joi.object<{ key: string }, true>({ key: key() });

function present(type: AccountTypeRow | null, as = ok): Reply {
  if (!type) throw notFound('type.not_found');
  return as(presentAccountType(type));
}

export const accountTypes = [
  route({
    ...shared,
    method: 'get',
    path: '/account_types',
    summary: 'Lists the types, which all spaces share',
    answers: { 200: { description: 'Types, by id', schema: shapes.accountTypes } },
    handler: async () => ok((await findAccountTypes()).map(presentAccountType)),
  }),
  route({
    ...shared,
    method: 'get',
    path: '/account_types/:id',
    summary: 'Shows a type',
    answers: { 200: { description: 'The type', schema: shapes.accountType }, 404: 'No such type' },
    handler: async ({ params }) => present(await findAccountType(pathId(params.id))),
  }),
  route({
    ...shared,
    method: 'post',
    path: '/account_types',
    summary: 'Makes a type',
    body,
    answers: { 201: { description: 'The type', schema: shapes.accountType } },
    handler: async ({ body: values }) => present(await createAccountType(values.key), created),
  }),
  route({
    ...shared,
    method: 'put',
    path: '/account_types/:id',
    summary: 'Changes a type',
    body,
    answers: { 200: { description: 'The type', schema: shapes.accountType }, 404: 'No such type' },
    handler: async ({ params, body: values }) => present(await updateAccountType(pathId(params.id), values.key)),
  }),
  route({
    ...shared,
    method: 'delete',
    path: '/account_types/:id',
    summary: 'Deletes a type, and takes it from all accounts',
    answers: { 200: { description: 'Deleted', schema: shapes.empty }, 404: 'No such type' },
    handler: async ({ params }) => {
      if (!(await deleteAccountType(pathId(params.id)))) throw notFound('type.not_found');
      return ok();
    },
  }),
  route({
    ...shared,
    method: 'post',
    path: '/accounts/:id/types/:type_id',
    summary: 'Gives a type to an account',
    answers: { 200: { description: 'Given', schema: shapes.empty }, 403: 'The account has it already', 404: 'No such account or type' },
    handler: async ({ caller, params }) => {
      const outcome = await addLink('account_type', pathId(params.id), pathId(params.type_id), scopeOf(caller));
      if (outcome === 'already') throw forbidden('type.given');
      if (outcome !== 'added') throw notFound(outcome === 'one_missing' ? 'account.not_found' : 'type.not_found');
      return ok();
    },
  }),
  route({
    ...shared,
    method: 'delete',
    path: '/accounts/:id/types/:type_id',
    summary: 'Takes a type from an account',
    answers: { 200: { description: 'Taken', schema: shapes.empty }, 403: 'The account does not have it', 404: 'No such account' },
    handler: async ({ caller, params }) => {
      const outcome = await removeLink('account_type', pathId(params.id), pathId(params.type_id), scopeOf(caller));
      if (outcome === 'one_missing') throw notFound('account.not_found');
      if (outcome === 'absent') throw forbidden('type.not_given');
      return ok();
    },
  }),
];
