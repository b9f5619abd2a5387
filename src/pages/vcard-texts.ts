// The text routes of contacts and stored vCards (api.md 5): at the root, text/vcard with LF; errors as JSON.
import { Router, type Request, type Response } from 'express';
import { pathSip, pathText } from '../api/parameters';
import { notFound } from '../infra/errors';
import { languageOf } from '../http/client';
import { identifyCaller } from '../http/identification';
import { writeBytes, writeError } from '../http/reply';
import type { Caller } from '../http/route';
import { contactCard } from '../services/address-book/contact-cards';
import { findContact, findContacts } from '../services/address-book/contacts';
import { findVcard, findVcards } from '../services/address-book/vcards-storage';

/** The text for a caller; `name` is the path's last part, where there is one. */
type Work = (caller: Caller, name: string) => Promise<string>;

const ROUTES: Record<string, Work> = {
  '/contacts/vcard': async ({ account_id }) => (await findContacts(account_id)).map(contactCard).join('\n'),
  '/contacts/vcard/:name': async ({ account_id }, name) => {
    const { username, domain } = pathSip(name);
    const contact = await findContact(account_id, username, domain);
    if (!contact) throw notFound('contact.not_found');
    return contactCard(contact);
  },
  '/vcards-storage': async ({ account_id }) => (await findVcards(account_id)).map(({ vcard }) => `${vcard}\n`).join(''),
  '/vcards-storage/:name': async ({ account_id }, name) => {
    const stored = await findVcard(account_id, pathText(name));
    if (!stored) throw notFound('vcard.not_found');
    return stored.vcard;
  },
};

export function vcardTexts(): Router {
  const router = Router({ caseSensitive: true });
  for (const [path, work] of Object.entries(ROUTES)) {
    router.get(path, async (request: Request, response: Response) => {
      response.locals['route'] = path;
      try {
        const caller = await identifyCaller('user', request, response);
        const text = await work(caller, String(request.params['name'] ?? ''));
        writeBytes(response, 200, 'text/vcard; charset=utf-8', text);
      } catch (error) {
        writeError(response, error, languageOf(request));
      }
    });
  }
  return router;
}
