// Contacts lists: made by admins, filled with accounts, given to accounts.
import Joi from 'joi';
import { settings } from '../../config';
import { forbidden, notFound } from '../errors';
import { created, ok, route, type Call, type Reply } from '../http/route';
import {
  createContactsList,
  deleteContactsList,
  findContactsList,
  findContactsLists,
  updateContactsList,
  type ContactsListRow,
  type ContactsListValues,
} from '../services/contacts-lists';
import { addLink, removeLink } from '../services/links';
import { findRequestSpace } from '../services/spaces';
import { presentContactsList } from './presenters';
import { pathId, scopeOf } from './scope';
import { prose, text } from './schemas';
import { shapes } from './shapes';

const LONGEST_DESCRIPTION = 10_000;
const shared = { access: 'admin', group: 'Contacts lists' } as const;
const body = Joi.object<ContactsListValues, true>({ title: text().required(), description: prose(LONGEST_DESCRIPTION).required() });

function present(list: ContactsListRow | null, as = ok): Reply {
  if (!list) throw notFound('list.not_found');
  return as(presentContactsList(list));
}

/** A list belongs to the admin's own Space; a super admin's to the request's (api.md 4, «Contacts Lists»). */
async function create({ caller, host, body: values }: Call<string, ContactsListValues, 'admin'>): Promise<Reply> {
  const domain = caller.super_admin ? ((await findRequestSpace(host))?.domain ?? settings.APP_SIP_DOMAIN) : caller.domain;
  return present(await createContactsList(values, domain), created);
}

export const contactsLists = [
  route({
    ...shared,
    method: 'get',
    path: '/contacts_lists',
    summary: 'Lists the contacts lists',
    answers: { 200: { description: 'Contacts lists, by id', schema: shapes.contactsLists } },
    handler: async ({ caller }) => ok((await findContactsLists(scopeOf(caller))).map(presentContactsList)),
  }),
  route({
    ...shared,
    method: 'get',
    path: '/contacts_lists/:id',
    summary: 'Shows a contacts list',
    answers: { 200: { description: 'The list', schema: shapes.contactsList }, 404: 'No such list' },
    handler: async ({ caller, params }) => present(await findContactsList(pathId(params.id), scopeOf(caller))),
  }),
  route({
    ...shared,
    method: 'post',
    path: '/contacts_lists',
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
    summary: 'Changes a contacts list',
    body,
    answers: { 200: { description: 'The list', schema: shapes.contactsList }, 404: 'No such list' },
    handler: async ({ caller, params, body: values }) => present(await updateContactsList(pathId(params.id), values, scopeOf(caller))),
  }),
  route({
    ...shared,
    method: 'delete',
    path: '/contacts_lists/:id',
    summary: 'Deletes a contacts list, and takes it from all accounts',
    answers: { 200: { description: 'Deleted', schema: shapes.empty }, 404: 'No such list' },
    handler: async ({ caller, params }) => {
      if (!(await deleteContactsList(pathId(params.id), scopeOf(caller)))) throw notFound('list.not_found');
      return ok();
    },
  }),
  route({
    ...shared,
    method: 'post',
    path: '/contacts_lists/:contacts_list_id/contacts/:contact_id',
    summary: 'Puts an account on a contacts list',
    answers: { 200: { description: 'Added', schema: shapes.empty }, 403: 'It is on it already', 404: 'No such list or account' },
    handler: async ({ caller, params }) => {
      const outcome = await addLink('contact_of_list', pathId(params.contacts_list_id), pathId(params.contact_id), scopeOf(caller));
      if (outcome === 'already') throw forbidden('contact.exists');
      if (outcome !== 'added') throw notFound(outcome === 'one_missing' ? 'list.not_found' : 'account.not_found');
      return ok();
    },
  }),
  route({
    ...shared,
    method: 'delete',
    path: '/contacts_lists/:contacts_list_id/contacts/:contact_id',
    summary: 'Takes an account off a contacts list',
    answers: { 200: { description: 'Removed', schema: shapes.empty }, 403: 'It is not on it', 404: 'No such list' },
    handler: async ({ caller, params }) => {
      const outcome = await removeLink('contact_of_list', pathId(params.contacts_list_id), pathId(params.contact_id), scopeOf(caller));
      if (outcome === 'one_missing') throw notFound('list.not_found');
      if (outcome === 'absent') throw forbidden('contact.absent');
      return ok();
    },
  }),
  route({
    ...shared,
    method: 'post',
    path: '/accounts/:id/contacts_lists/:contacts_list_id',
    summary: 'Gives a contacts list to an account: its contacts become the account’s',
    answers: { 200: { description: 'Given', schema: shapes.empty }, 403: 'The account has it already', 404: 'No such account or list' },
    handler: async ({ caller, params }) => {
      const outcome = await addLink('list_of_account', pathId(params.id), pathId(params.contacts_list_id), scopeOf(caller));
      if (outcome === 'already') throw forbidden('list.given');
      if (outcome !== 'added') throw notFound(outcome === 'one_missing' ? 'account.not_found' : 'list.not_found');
      return ok();
    },
  }),
  route({
    ...shared,
    method: 'delete',
    path: '/accounts/:id/contacts_lists/:contacts_list_id',
    summary: 'Takes a contacts list from an account',
    answers: { 200: { description: 'Taken', schema: shapes.empty }, 403: 'The account does not have it', 404: 'No such account' },
    handler: async ({ caller, params }) => {
      const outcome = await removeLink('list_of_account', pathId(params.id), pathId(params.contacts_list_id), scopeOf(caller));
      if (outcome === 'one_missing') throw notFound('account.not_found');
      if (outcome === 'absent') throw forbidden('list.not_given');
      return ok();
    },
  }),
];
