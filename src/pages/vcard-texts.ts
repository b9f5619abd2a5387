// The text routes of contacts and stored vCards: at the root, text/vcard with LF; errors as JSON.
import { Router, type Request, type Response } from 'express';
import { notFound } from '../infra/errors';
import { languageOf } from '../http/client';
import { identifyCaller } from '../http/identification';
import { writeBytes, writeError, writeParts } from '../http/reply';
import { type Caller, type Parts, pathSip, pathText } from '../http/route';
import { VcardStorage } from '../models';
import { contactPages, findContact } from '../models/address-book/contact-view';
import { visibleTo } from '../models/visibility';
import { contactCard } from '../services/address-book/contact-cards';

const CONTENT_TYPE = 'text/vcard; charset=utf-8';

/** Gives the text for a caller, or its parts where it may be long; `name` is the path's last part, where there is one. */
type Work = (caller: Caller, name: string) => Promise<string> | Parts;

// As everywhere, a page is emptied once its text is made: a suspended generator keeps what it had in hand.
async function* contactCards(accountId: number): Parts {
  let separator = '';
  for await (const contacts of contactPages(accountId)) {
    if (contacts.length === 0) continue;
    const text = separator + contacts.map(contactCard).join('\n');
    contacts.length = 0;
    yield text;
    separator = '\n';
  }
}

async function* storedCards(caller: Caller): Parts {
  for await (const stored of VcardStorage.pagesOf(caller, caller.account_id)) {
    const text = stored.map(({ vcard }) => `${vcard}\n`).join('');
    stored.length = 0;
    yield text;
  }
}

const ROUTES: Record<string, Work> = {
  '/contacts/vcard': ({ account_id }) => contactCards(account_id),
  '/contacts/vcard/:name': async ({ account_id }, name) => {
    const contact = await findContact(account_id, pathSip(name));
    if (!contact) throw notFound('contact.not_found');
    return contactCard(contact);
  },
  '/vcards-storage': storedCards,
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
        const caller = await identifyCaller({ access: 'user', scope: 'contacts:read', changes: false }, request, response);
        const text = work(caller, String(request.params['name'] ?? ''));
        if (text instanceof Promise) writeBytes(response, 200, CONTENT_TYPE, await text);
        else await writeParts(response, 200, CONTENT_TYPE, text);
      } catch (error) {
        writeError(response, error, languageOf(request));
      }
    });
  }
  return router;
}
