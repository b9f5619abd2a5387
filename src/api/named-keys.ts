// Keys of machines: any number an account, each with what it may do, from where, and until when.
import Joi from 'joi';
import { notFound } from '../infra/errors';
import { created, ok, okList, pathId, route, type Caller } from '../http/route';
import { NamedApiKey } from '../models';
import { pagesOf } from '../models/pages';
import { visibleTo } from '../models/visibility';
import {
  changeNamedKey,
  createNamedKey,
  type KeyValues,
  type NewKey,
  revokeNamedKey,
  rotateNamedKey,
} from '../services/credentials/key-changes';
import { MAX_GRACE_MINUTES, MAX_UNUSED_MINUTES } from '../services/credentials/key-limits';
import { presentNamedKey } from './presenters';
import { addressRanges, integer, isoDate, keyName, scopes } from './schemas';
import { shapes } from './shapes';

const shared = { access: 'admin', scope: 'keys:write', group: 'API keys' } as const;

const unusedMinutes = (): Joi.NumberSchema => integer(1, MAX_UNUSED_MINUTES);

const creation = Joi.object<Omit<NewKey, 'account_id'> & { account_id?: number }, true>({
  name: keyName().required(),
  scopes: scopes().required(),
  account_id: integer(1).description('Whose key it is; the own account where it is absent'),
  expires_at: isoDate(),
  expires_after_last_used_minutes: unusedMinutes(),
  allowed_addresses: addressRanges(),
}).meta({ name: 'NewNamedApiKey' });

/** «Present, but null»: it is taken away. */
const orNone = <Schema extends Joi.Schema>(schema: Schema): Schema => schema.empty().allow(null) as Schema;

const change = Joi.object<Partial<KeyValues>, true>({
  name: keyName(),
  scopes: scopes(),
  expires_at: orNone(isoDate()),
  expires_after_last_used_minutes: orNone(unusedMinutes()),
  allowed_addresses: orNone(addressRanges()),
}).meta({ name: 'NamedApiKeyChange' });

/** A key as the caller sees it. @throws {ApiError} 404 */
async function show(id: number, caller: Caller): Promise<Record<string, unknown>> {
  const key = await NamedApiKey.scope([visibleTo(caller), 'shown']).findByPk(id);
  if (!key) throw notFound('key.not_found');
  return presentNamedKey(key);
}

const NOT_FOUND = 'No such key';
const LACKING = 'The key may do more than the one that the caller shows: it has another scope, ends later, or works from elsewhere';

export const namedKeys = [
  route({
    ...shared,
    method: 'get',
    changes: false,
    path: '/api_keys',
    summary: 'Lists the keys of machines',
    description: 'Of the own space; of all spaces for super admins. No list has the keys themselves.',
    query: Joi.object<{ account_id?: number }, true>({ account_id: integer(1).description('Those of one account') }),
    answers: { 200: { description: 'Keys, by id', schema: shapes.namedKeys } },
    handler: async ({ caller, query: { account_id } }) =>
      okList(
        () => pagesOf(NamedApiKey.scope([visibleTo(caller), 'shown']), account_id === undefined ? {} : { account_id }),
        presentNamedKey,
      ),
  }),
  route({
    ...shared,
    method: 'post',
    path: '/api_keys',
    summary: 'Makes a key for a machine',
    description:
      'The answer shows the key, once. `name` is unique within the account. It does what both the role of its account and its `scopes` allow. ' +
      'It ends at `expires_at`, or when unused for `expires_after_last_used_minutes`, or never where neither is given.',
    body: creation,
    answers: { 201: { description: 'The key', schema: shapes.madeNamedKey } },
    handler: async ({ caller, body: { account_id = caller.account_id, ...values } }) => {
      const { id, api_key } = await createNamedKey({ account_id, ...values }, caller);
      return created({ ...(await show(id, caller)), api_key });
    },
  }),
  route({
    ...shared,
    method: 'get',
    changes: false,
    path: '/api_keys/:id',
    summary: 'Shows a key of a machine, without the key itself',
    answers: { 200: { description: 'The key', schema: shapes.namedKey }, 404: NOT_FOUND },
    handler: async ({ caller, params }) => ok(await show(pathId(params.id), caller)),
  }),
  route({
    ...shared,
    method: 'patch',
    path: '/api_keys/:id',
    summary: 'Changes what a key may do, from where, or until when',
    description: 'What is absent stays. `null` takes an end, or the addresses, away; one end takes the place of the other.',
    body: change,
    answers: { 200: { description: 'The key', schema: shapes.namedKey }, 403: LACKING, 404: NOT_FOUND },
    handler: async ({ caller, params, body }) => {
      const id = pathId(params.id);
      await changeNamedKey(id, body, caller);
      return ok(await show(id, caller));
    },
  }),
  route({
    ...shared,
    method: 'post',
    path: '/api_keys/:id/rotate',
    summary: 'Gives a key a new secret',
    description:
      'The answer shows the key, once. The one before stays good for `grace_minutes` (0 where absent): put the new one where it is used meanwhile. ' +
      'None that was replaced earlier is good for longer.',
    body: Joi.object<{ grace_minutes: number }, true>({ grace_minutes: integer(0, MAX_GRACE_MINUTES).default(0) }).meta({
      name: 'NamedApiKeyRotation',
    }),
    answers: {
      200: { description: 'The key', schema: shapes.madeNamedKey },
      403: LACKING,
      404: NOT_FOUND,
      409: 'It ended at its moment: another secret would not help',
    },
    handler: async ({ caller, params, body: { grace_minutes: minutes } }) => {
      const { id, api_key } = await rotateNamedKey(pathId(params.id), minutes, caller);
      return ok({ ...(await show(id, caller)), api_key });
    },
  }),
  route({
    ...shared,
    method: 'delete',
    path: '/api_keys/:id',
    summary: 'Revokes a key: it stops working at once',
    answers: { 200: { description: 'Revoked', schema: shapes.empty }, 404: NOT_FOUND },
    handler: async ({ caller, params }) => {
      if (!(await revokeNamedKey(pathId(params.id), caller))) throw notFound('key.not_found');
      return ok();
    },
  }),
];
