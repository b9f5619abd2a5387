// Types of accounts, and which account has which.
import Joi from 'joi';
import { notFound } from '../infra/errors';
import { created, ok, okList, route, type Reply, pathId } from '../http/route';
import { AccountType } from '../models';
import { pagesOf } from '../models/pages';
import { createAccountType, updateAccountType } from '../services/address-book/account-types';
import { linkEndpoints } from './links';
import { presentAccountType } from './presenters';
import { key } from './schemas';
import { shapes } from './shapes';

const shared = { access: 'admin', group: 'Account types' } as const;
const body = Joi.object<{ key: string }, true>({ key: key() }).meta({ name: 'AccountTypeValues' });

function present(type: AccountType | null, as = ok): Reply {
  if (!type) throw notFound('type.not_found');
  return as(presentAccountType(type));
}

export const accountTypes = [
  route({
    ...shared,
    method: 'get',
    changes: false,
    path: '/account_types',
    scope: 'accounts:read',
    summary: 'Lists the types, which all spaces share',
    answers: { 200: { description: 'Types, by id', schema: shapes.accountTypes } },
    handler: async () => okList(() => pagesOf(AccountType), presentAccountType),
  }),
  route({
    ...shared,
    method: 'get',
    changes: false,
    path: '/account_types/:id',
    scope: 'accounts:read',
    summary: 'Shows a type',
    answers: { 200: { description: 'The type', schema: shapes.accountType }, 404: 'No such type' },
    handler: async ({ params }) => present(await AccountType.findByPk(pathId(params.id))),
  }),
  route({
    ...shared,
    method: 'post',
    path: '/account_types',
    scope: 'accounts:write',
    summary: 'Makes a type',
    body,
    answers: { 201: { description: 'The type', schema: shapes.accountType } },
    handler: async ({ body: values }) => present(await createAccountType(values.key), created),
  }),
  route({
    ...shared,
    method: 'put',
    path: '/account_types/:id',
    scope: 'accounts:write',
    summary: 'Changes a type',
    body,
    answers: { 200: { description: 'The type', schema: shapes.accountType }, 404: 'No such type' },
    handler: async ({ params, body: values }) => present(await updateAccountType(pathId(params.id), values.key)),
  }),
  route({
    ...shared,
    method: 'delete',
    path: '/account_types/:id',
    scope: 'accounts:write',
    summary: 'Deletes a type, and takes it from all accounts',
    answers: { 200: { description: 'Deleted', schema: shapes.empty }, 404: 'No such type' },
    handler: async ({ params }) => {
      const deleted = await AccountType.destroy({ where: { id: pathId(params.id) } });
      if (deleted === 0) throw notFound('type.not_found');
      return ok();
    },
  }),
  ...linkEndpoints({
    kind: 'account_type',
    group: shared.group,
    path: '/accounts/:id/types/:type_id',
    scope: 'accounts:write',
    add: { summary: 'Gives a type to an account', already: 'type.given' },
    remove: { summary: 'Takes a type from an account', absent: 'type.not_given' },
    missing: ['account.not_found', 'type.not_found'],
  }),
];
