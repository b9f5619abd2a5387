// The text routes of contacts and stored vCards: at the root, text/vcard with LF; errors as JSON.
import { Router, type Request, type Response } from 'express';
import { notFound } from '../infra/errors';
import { languageOf } from '../http/client';
import { identifyCaller } from '../http/identification';
import { writeBytes, writeError } from '../http/reply';
import { type Caller, pathSip, pathText } from '../http/route';
import { VcardStorage } from '../models';
import { findContact, findContacts } from '../models/address-book/contact-view';
import { visibleTo } from '../models/visibility';
import { contactCard } from '../services/address-book/contact-cards';

/** Gives the text for a caller; `name` is the path's last part, where there is one. */
type Work = (caller: Caller, name: string) => Promise<string>;

const ROUTES: Record<string, Work> = {
  '/contacts/vcard': async ({ account_id }) => (await findContacts(account_id)).map(contactCard).join('\n'),
  '/contacts/vcard/:name': async ({ account_id }, name) => {
    const { username, domain } = pathSip(name);
    const contact = await findContact(account_id, username, domain);
    if (!contact) throw notFound('contact.not_found');
    return contactCard(contact);
  },
  '/vcards-storage': async (caller) => {
    const where = { account_id: caller.account_id };
    const stored = await VcardStorage.scope(visibleTo(caller)).findAll({ where, order: [['id', 'ASC']] });
    return stored.map(({ vcard }) => `${vcard}\n`).join('');
  },
  '/vcards-storage/:name': async (caller, name) => {
    const where = { account_id: caller.account_id, uuid: pathText(name) };
    const stored = await VcardStorage.scope(visibleTo(caller)).findOne({ where });
    if (!stored) throw notFound('vcard.not_found');
    return stored.vcard;
  },
};

/** The router of these routes. */
export function vcardTexts(): Router {
  const router = Router({ caseSensitive: true });
  for (const [path, work] of Object.entries(ROUTES)) {
    router.get(path, async (request: Request, response: Response) => {
      response.locals['route'] = path;
      try {
        const caller = await identifyCaller({ access: 'user', changes: false }, request, response);
        const text = await work(caller, String(request.params['name'] ?? ''));
        writeBytes(response, 200, 'text/vcard; charset=utf-8', text);
      } catch (error) {
        writeError(response, error, languageOf(request));
      }
    });
  }
  return router;
}
