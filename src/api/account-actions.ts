// Actions of an account. Without a DTMF protocol all of them are refused, before the body is looked at.
import Joi from 'joi';
import { notFound } from '../infra/errors';
import { created, ok, okList, route, type Caller, type Reply, pathId } from '../http/route';
import { AccountAction } from '../models';
import { pagesOf } from '../models/pages';
import { visibleTo } from '../models/visibility';
import { requireDtmfProtocol } from '../services/address-book/dtmf-protocol';
import { presentAccountAction } from './presenters';
import { actionCode, key } from './schemas';
import { shapes } from './shapes';

const shared = {
  access: 'admin',
  group: 'Account actions',
  before: (caller: Caller, { id = '' }: Record<string, string>) => requireDtmfProtocol(caller, pathId(id)),
} as const;
const body = Joi.object<Pick<AccountAction, 'key' | 'code'>, true>({ key: key(), code: actionCode() }).meta({
  name: 'AccountActionValues',
});
const whereOf = (params: { id: string; action_id: string }): { account_id: number; id: number } => ({
  account_id: pathId(params.id),
  id: pathId(params.action_id),
});
const NO_PROTOCOL = 'The account has no DTMF protocol';

function present(action: AccountAction | null, as = ok): Reply {
  if (!action) throw notFound('action.not_found');
  return as(presentAccountAction(action));
}

export const accountActions = [
  route({
    ...shared,
    method: 'get',
    changes: false,
    path: '/accounts/:id/actions',
    scope: 'accounts:read',
    summary: 'Lists the actions of an account',
    answers: { 200: { description: 'Actions, by id', schema: shapes.accountActions }, 403: NO_PROTOCOL, 404: 'No such account' },
    handler: async ({ caller, params }) => {
      const where = { account_id: pathId(params.id) };
      return okList(() => pagesOf(AccountAction.scope(visibleTo(caller)), where), presentAccountAction);
    },
  }),
  route({
    ...shared,
    method: 'get',
    changes: false,
    path: '/accounts/:id/actions/:action_id',
    scope: 'accounts:read',
    summary: 'Shows an action',
    answers: { 200: { description: 'The action', schema: shapes.accountAction }, 403: NO_PROTOCOL, 404: 'No such account or action' },
    handler: async ({ caller, params }) => present(await AccountAction.scope(visibleTo(caller)).findOne({ where: whereOf(params) })),
  }),
  route({
    ...shared,
    method: 'post',
    path: '/accounts/:id/actions',
    scope: 'accounts:write',
    summary: 'Makes an action',
    body,
    answers: { 201: { description: 'The action', schema: shapes.accountAction }, 403: NO_PROTOCOL, 404: 'No such account' },
    handler: async ({ params, body: values }) => present(await AccountAction.create({ account_id: pathId(params.id), ...values }), created),
  }),
  route({
    ...shared,
    method: 'put',
    path: '/accounts/:id/actions/:action_id',
    scope: 'accounts:write',
    summary: 'Changes an action',
    body,
    answers: { 200: { description: 'The action', schema: shapes.accountAction }, 403: NO_PROTOCOL, 404: 'No such account or action' },
    handler: async ({ caller, params, body: values }) => {
      const actions = AccountAction.scope(visibleTo(caller));
      const [, [changed = null]] = await actions.update(values, { where: whereOf(params), returning: true });
      return present(changed);
    },
  }),
  route({
    ...shared,
    method: 'delete',
    path: '/accounts/:id/actions/:action_id',
    scope: 'accounts:write',
    summary: 'Deletes an action',
    answers: { 200: { description: 'Deleted', schema: shapes.empty }, 403: NO_PROTOCOL, 404: 'No such account or action' },
    handler: async ({ caller, params }) => {
      const deleted = await AccountAction.scope(visibleTo(caller)).destroy({ where: whereOf(params) });
      if (deleted === 0) throw notFound('action.not_found');
      return ok();
    },
  }),
];
