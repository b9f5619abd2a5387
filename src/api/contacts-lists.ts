// Contacts lists: made by admins, filled with accounts, given to accounts.
import Joi from 'joi';
import { notFound } from '../infra/errors';
import { created, ok, okList, route, type Call, type Reply, pathId } from '../http/route';
import { ContactsList } from '../models';
import type { ContactsListView } from '../models/address-book/contacts-list';
import { pagesOf } from '../models/pages';
import { visibleTo } from '../models/visibility';
import { createContactsList, updateContactsList, type ContactsListValues } from '../services/address-book/contacts-lists';
import { requireRequestSpace } from '../services/spaces/spaces';
import { linkEndpoints } from './links';
import { presentContactsList } from './presenters';
import { prose, text } from './schemas';
import { shapes } from './shapes';

const MAX_DESCRIPTION_LENGTH = 10_000;
const shared = { access: 'admin', group: 'Contacts lists' } as const;
const body = Joi.object<ContactsListValues, true>({ title: text().required(), description: prose(MAX_DESCRIPTION_LENGTH).required() }).meta(
  { name: 'ContactsListValues' },
);

function present(list: ContactsListView | null, as = ok): Reply {
  if (!list) throw notFound('list.not_found');
  return as(presentContactsList(list));
}

/** A list belongs to the admin's own Space; a super admin's to the request's. */
async function create({ caller, host, body: values }: Call<string, ContactsListValues, 'admin'>): Promise<Reply> {
  const domain = caller.super_admin ? (await requireRequestSpace(host)).domain : caller.domain;
  return present(await createContactsList(domain, values), created);
}

export const contactsLists = [
  route({
    ...shared,
    method: 'get',
    changes: false,
    path: '/contacts_lists',
    scope: 'contacts:read',
    summary: 'Lists the contacts lists',
    answers: { 200: { description: 'Contacts lists, by id', schema: shapes.contactsLists } },
    handler: async ({ caller }) => okList(() => pagesOf(ContactsList.scope([visibleTo(caller), 'counted'])), presentContactsList),
  }),
  route({
    ...shared,
    method: 'get',
    changes: false,
    path: '/contacts_lists/:id',
    scope: 'contacts:read',
    summary: 'Shows a contacts list',
    answers: { 200: { description: 'The list', schema: shapes.contactsList }, 404: 'No such list' },
    handler: async ({ caller, params }) => present(await ContactsList.scope([visibleTo(caller), 'counted']).findByPk(pathId(params.id))),
  }),
  route({
    ...shared,
    method: 'post',
    path: '/contacts_lists',
    scope: 'contacts:write',
    summary: 'Makes a contacts list',
    description: '`title` is unique in the space.',
    body,
    answers: { 201: { description: 'The list', schema: shapes.contactsList } },
    handler: create,
  }),
  route({
    ...shared,
    method: 'put',
    path: '/contacts_lists/:id',
    scope: 'contacts:write',
    summary: 'Changes a contacts list',
    body,
    answers: { 200: { description: 'The list', schema: shapes.contactsList }, 404: 'No such list' },
    handler: async ({ caller, params, body: values }) => present(await updateContactsList(caller, pathId(params.id), values)),
  }),
  route({
    ...shared,
    method: 'delete',
    path: '/contacts_lists/:id',
    scope: 'contacts:write',
    summary: 'Deletes a contacts list, and takes it from all accounts',
    answers: { 200: { description: 'Deleted', schema: shapes.empty }, 404: 'No such list' },
    handler: async ({ caller, params }) => {
      const deleted = await ContactsList.scope(visibleTo(caller)).destroy({ where: { id: pathId(params.id) } });
      if (deleted === 0) throw notFound('list.not_found');
      return ok();
    },
  }),
  ...linkEndpoints({
    kind: 'contact_of_list',
    group: shared.group,
    path: '/contacts_lists/:contacts_list_id/contacts/:contact_id',
    scope: 'contacts:write',
    add: { summary: 'Puts an account on a contacts list', already: 'contact.exists' },
    remove: { summary: 'Takes an account off a contacts list', absent: 'contact.absent' },
    missing: ['list.not_found', 'account.not_found'],
  }),
  ...linkEndpoints({
    kind: 'list_of_account',
    group: shared.group,
    path: '/accounts/:id/contacts_lists/:contacts_list_id',
    scope: 'contacts:write',
    add: { summary: 'Gives a contacts list to an account: its contacts become the account’s', already: 'list.given' },
    remove: { summary: 'Takes a contacts list from an account', absent: 'list.not_given' },
    missing: ['account.not_found', 'list.not_found'],
  }),
];
