// Actions of an account. Without a DTMF protocol all of them are refused, before the body is looked at (api.md 1.2).
import Joi from 'joi';
import { notFound } from '../infra/errors';
import { created, ok, route, type Caller, type Reply } from '../http/route';
import {
  createAction,
  deleteAction,
  findAction,
  findActions,
  requireDtmfProtocol,
  updateAction,
  type AccountActionRow,
  type AccountActionValues,
} from '../services/address-book/account-actions';
import { presentAccountAction } from './presenters';
import { pathId, scopeOf } from './parameters';
import { actionCode, key } from './schemas';
import { shapes } from './shapes';

const shared = {
  access: 'admin',
  group: 'Account actions',
  before: (caller: Caller, { id = '' }: Record<string, string>) => requireDtmfProtocol(pathId(id), scopeOf(caller)),
} as const;
const body = Joi.object<AccountActionValues, true>({ key: key(), code: actionCode() });
const NO_PROTOCOL = 'The account has no DTMF protocol';

function present(action: AccountActionRow | null, as = ok): Reply {
  if (!action) throw notFound('action.not_found');
  return as(presentAccountAction(action));
}

export const accountActions = [
  route({
    ...shared,
    method: 'get',
    path: '/accounts/:id/actions',
    summary: 'Lists the actions of an account',
    answers: { 200: { description: 'Actions, by id', schema: shapes.accountActions }, 403: NO_PROTOCOL, 404: 'No such account' },
    handler: async ({ params }) => ok((await findActions(pathId(params.id))).map(presentAccountAction)),
  }),
  route({
    ...shared,
    method: 'get',
    path: '/accounts/:id/actions/:action_id',
    summary: 'Shows an action',
    answers: { 200: { description: 'The action', schema: shapes.accountAction }, 403: NO_PROTOCOL, 404: 'No such account or action' },
    handler: async ({ params }) => present(await findAction(pathId(params.id), pathId(params.action_id))),
  }),
  route({
    ...shared,
    method: 'post',
    path: '/accounts/:id/actions',
    summary: 'Makes an action',
    body,
    answers: { 201: { description: 'The action', schema: shapes.accountAction }, 403: NO_PROTOCOL, 404: 'No such account' },
    handler: async ({ params, body: values }) => present(await createAction(pathId(params.id), values), created),
  }),
  route({
    ...shared,
    method: 'put',
    path: '/accounts/:id/actions/:action_id',
    summary: 'Changes an action',
    body,
    answers: { 200: { description: 'The action', schema: shapes.accountAction }, 403: NO_PROTOCOL, 404: 'No such account or action' },
    handler: async ({ params, body: values }) => present(await updateAction(pathId(params.id), pathId(params.action_id), values)),
  }),
  route({
    ...shared,
    method: 'delete',
    path: '/accounts/:id/actions/:action_id',
    summary: 'Deletes an action',
    answers: { 200: { description: 'Deleted', schema: shapes.empty }, 403: NO_PROTOCOL, 404: 'No such account or action' },
    handler: async ({ params }) => {
      if (!(await deleteAction(pathId(params.id), pathId(params.action_id)))) throw notFound('action.not_found');
      return ok();
    },
  }),
];
