// Contacts: those of the caller, and those that admins give to accounts.
import { notFound } from '../infra/errors';
import { ok, okList, route, type Reply, pathId, pathSip } from '../http/route';
import { contactPages, findContact, findOwnContact, ownContactPages } from '../models/address-book/contact-view';
import { linkEndpoints } from './links';
import { presentContact } from './presenters';
import { requireAccount } from './visible-account';
import { shapes } from './shapes';

const own = { access: 'user', group: 'Account contacts' } as const;
const managed = { access: 'admin', group: 'Contacts' } as const;

const present = (contact: Parameters<typeof presentContact>[0] | null): Reply => {
  if (!contact) throw notFound('contact.not_found');
  return ok(presentContact(contact));
};

export const contacts = [
  route({
    ...own,
    method: 'get',
    changes: false,
    path: '/accounts/me/contacts',
    scope: 'contacts:read',
    summary: 'Lists the own contacts and those of the own contacts lists, each once',
    answers: { 200: { description: 'Contacts, by id', schema: shapes.contacts } },
    handler: async ({ caller }) => okList(() => contactPages(caller.account_id), presentContact),
  }),
  route({
    ...own,
    method: 'get',
    changes: false,
    path: '/accounts/me/contacts/:sip',
    scope: 'contacts:read',
    summary: 'Shows one of them',
    answers: { 200: { description: 'The contact', schema: shapes.contact }, 404: 'No such contact' },
    handler: async ({ caller, params }) => {
      return present(await findContact(caller.account_id, pathSip(params.sip)));
    },
  }),
  route({
    ...managed,
    method: 'get',
    changes: false,
    path: '/accounts/:id/contacts',
    scope: 'contacts:read',
    summary: 'Lists the contacts of an account, without those of its lists',
    answers: { 200: { description: 'Contacts, by id', schema: shapes.contacts }, 404: 'No such account' },
    handler: async ({ caller, params }) => {
      const account = await requireAccount(params.id, caller);
      return okList(() => ownContactPages(account.id), presentContact);
    },
  }),
  route({
    ...managed,
    method: 'get',
    changes: false,
    path: '/accounts/:id/contacts/:contact_id',
    scope: 'contacts:read',
    summary: 'Shows one of them',
    answers: { 200: { description: 'The contact', schema: shapes.contact }, 404: 'No such account, or contact' },
    handler: async ({ caller, params }) => {
      const account = await requireAccount(params.id, caller);
      return present(await findOwnContact(account.id, pathId(params.contact_id)));
    },
  }),
  ...linkEndpoints({
    kind: 'contact',
    group: managed.group,
    path: '/accounts/:id/contacts/:contact_id',
    scope: 'contacts:write',
    add: { summary: 'Makes an account a contact of another; not the other way round', already: 'contact.exists' },
    remove: { summary: 'Takes a contact from an account', absent: 'contact.absent' },
    missing: ['account.not_found', 'account.not_found'],
  }),
];
