// Contacts: those of the caller, and those that admins give to accounts.
import { forbidden, notFound } from '../errors';
import { ok, route, type Reply } from '../http/route';
import { findContact, findContacts, findOwnContact, findOwnContacts } from '../services/contacts';
import { addLink, removeLink } from '../services/links';
import { presentContact } from './presenters';
import { pathId, pathSip, requireAccount, scopeOf } from './scope';
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
    path: '/accounts/me/contacts',
    summary: 'Lists the own contacts and those of the own contacts lists, each once',
    answers: { 200: { description: 'Contacts, by id', schema: shapes.contacts } },
    handler: async ({ caller }) => ok((await findContacts(caller.account_id)).map(presentContact)),
  }),
  route({
    ...own,
    method: 'get',
    path: '/accounts/me/contacts/:sip',
    summary: 'Shows one of them',
    answers: { 200: { description: 'The contact', schema: shapes.contact }, 404: 'No such contact' },
    handler: async ({ caller, params }) => {
      const { username, domain } = pathSip(params.sip);
      return present(await findContact(caller.account_id, username, domain));
    },
  }),
  route({
    ...managed,
    method: 'get',
    path: '/accounts/:id/contacts',
    summary: 'Lists the contacts of an account, without those of its lists',
    answers: { 200: { description: 'Contacts, by id', schema: shapes.contacts }, 404: 'No such account' },
    handler: async ({ caller, params }) => {
      const account = await requireAccount(params.id, caller);
      return ok((await findOwnContacts(account.id)).map(presentContact));
    },
  }),
  route({
    ...managed,
    method: 'get',
    path: '/accounts/:id/contacts/:contact_id',
    summary: 'Shows one of them',
    answers: { 200: { description: 'The contact', schema: shapes.contact }, 404: 'No such account, or contact' },
    handler: async ({ caller, params }) => {
      const account = await requireAccount(params.id, caller);
      return present(await findOwnContact(account.id, pathId(params.contact_id)));
    },
  }),
  route({
    ...managed,
    method: 'post',
    path: '/accounts/:id/contacts/:contact_id',
    summary: 'Makes an account a contact of another; not the other way round',
    answers: { 200: { description: 'Added', schema: shapes.empty }, 403: 'It is one already', 404: 'No such account, one or the other' },
    handler: async ({ caller, params }) => {
      const outcome = await addLink('contact', pathId(params.id), pathId(params.contact_id), scopeOf(caller));
      if (outcome === 'already') throw forbidden('contact.exists');
      if (outcome !== 'added') throw notFound('account.not_found');
      return ok();
    },
  }),
  route({
    ...managed,
    method: 'delete',
    path: '/accounts/:id/contacts/:contact_id',
    summary: 'Takes a contact from an account',
    answers: { 200: { description: 'Removed', schema: shapes.empty }, 403: 'It is none', 404: 'No such account' },
    handler: async ({ caller, params }) => {
      const outcome = await removeLink('contact', pathId(params.id), pathId(params.contact_id), scopeOf(caller));
      if (outcome === 'one_missing') throw notFound('account.not_found');
      if (outcome === 'absent') throw forbidden('contact.absent');
      return ok();
    },
  }),
];
