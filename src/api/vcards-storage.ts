// vCards that an account keeps with us: its own, or one that an admin manages.
import Joi from 'joi';
import { fieldError, notFound, unprocessable } from '../infra/errors';
import { created, ok, okByKey, route, type AnyEndpoint, type Caller, type Reply, pathText } from '../http/route';
import { VcardStorage } from '../models';
import { visibleTo } from '../models/visibility';
import type { Vcard } from '../services/address-book/vcards';
import { createVcard, replaceVcard } from '../services/address-book/vcards-storage';
import { presentVcard } from './presenters';
import { requireAccount } from './visible-account';
import { vcard } from './schemas';
import { shapes } from './shapes';

const body = Joi.object<{ vcard: Vcard }, true>({ vcard: vcard().required() }).meta({ name: 'NewVcard' });

/** What is added to the 403 of every endpoint. */
const NO_ROOM = 'The account has no room for it: as many vCards as it may have, or as many bytes; `errors` names `vcard`';

function present(stored: VcardStorage | null): Reply {
  if (!stored) throw notFound('vcard.not_found');
  return ok(presentVcard(stored));
}

/** The same five for the caller's own account and for one that is named. */
function endpointsOf(whose: 'me' | ':id'): AnyEndpoint[] {
  const of = whose === 'me' ? 'the own account' : 'an account';
  const shared = { access: whose === 'me' ? 'user' : 'admin', group: 'vCards storage' } as const;
  const base = `/accounts/${whose}/vcards-storage` as const;
  // `id` is in the path of an admin's endpoints only.
  const accountOf = async (caller: Caller, params: Record<string, string>): Promise<number> =>
    whose === 'me' ? caller.account_id : (await requireAccount(params['id'] ?? '', caller)).id;
  return [
    route({
      ...shared,
      method: 'get',
      changes: false,
      path: base,
      scope: 'contacts:read',
      summary: `Lists the vCards of ${of}, by UID`,
      answers: { 200: { description: 'vCards by UID', schema: shapes.vcards }, 404: 'No such account' },
      handler: async ({ caller, params }) => {
        const accountId = await accountOf(caller, params);
        return okByKey(
          () => VcardStorage.pagesOf(caller, accountId),
          ({ uuid }) => uuid,
          presentVcard,
        );
      },
    }),
    route({
      ...shared,
      method: 'get',
      changes: false,
      path: `${base}/:uuid`,
      scope: 'contacts:read',
      summary: `Shows a vCard of ${of}`,
      answers: { 200: { description: 'The vCard', schema: shapes.vcard }, 404: 'No such account or vCard' },
      handler: async ({ caller, params }) => {
        const where = { account_id: await accountOf(caller, params), uuid: pathText(params.uuid) };
        return present(await VcardStorage.scope(visibleTo(caller)).findOne({ where }));
      },
    }),
    route({
      ...shared,
      method: 'post',
      path: base,
      scope: 'contacts:write',
      summary: `Stores a vCard for ${of}`,
      description: 'Version 2.1, 3.0 or 4.0, with exactly one FN and one UID.',
      body,
      oversized: 'vcard',
      answers: {
        201: { description: 'The vCard', schema: shapes.vcard },
        403: NO_ROOM,
        404: 'No such account',
        409: 'The account has a vCard with this UID',
      },
      handler: async ({ caller, params, body: { vcard: card } }) =>
        created(presentVcard(await createVcard(await accountOf(caller, params), card))),
    }),
    route({
      ...shared,
      method: 'put',
      path: `${base}/:uuid`,
      scope: 'contacts:write',
      summary: `Replaces a vCard of ${of}`,
      description: 'Its UID is the one in the address.',
      body,
      oversized: 'vcard',
      answers: { 200: { description: 'The vCard', schema: shapes.vcard }, 403: NO_ROOM, 404: 'No such account or vCard' },
      handler: async ({ caller, params, body: { vcard: card } }) => {
        if (card.uid !== params.uuid) throw unprocessable(fieldError('vcard', 'vcard.other_uid'));
        return present(await replaceVcard(caller, await accountOf(caller, params), card));
      },
    }),
    route({
      ...shared,
      method: 'delete',
      path: `${base}/:uuid`,
      scope: 'contacts:write',
      summary: `Deletes a vCard of ${of}`,
      answers: { 200: { description: 'Deleted', schema: shapes.empty }, 404: 'No such account or vCard' },
      handler: async ({ caller, params }) => {
        const where = { account_id: await accountOf(caller, params), uuid: pathText(params.uuid) };
        const deleted = await VcardStorage.scope(visibleTo(caller)).destroy({ where });
        if (deleted === 0) throw notFound('vcard.not_found');
        return ok();
      },
    }),
  ];
}

export const vcardsStorage = [...endpointsOf('me'), ...endpointsOf(':id')];
