// A page for admins over endpoints that a Space's admins and super admins read: who is let in, and the frame that a script fills.
import { Router, type Request, type Response } from 'express';
import { settings } from '../../config';
import { languageOf } from '../http/client';
import type { Caller, Scope } from '../http/route';
import { render, type Language } from '../i18n';
import { escapeHtml } from '../infra/html';
import { mayUse } from '../services/credentials/identities';
import { listSpaces } from '../services/spaces/spaces';
import type { AssetName } from './assets';
import type { Say } from './controls';
import { writePage } from './layout';
import { rootOf } from './root';
import { protect } from './sign-in';

/** What the body of a page is made of, beside its texts. */
export interface Shown {
  language: Language;
  caller: Caller;
  /** Of all Spaces; null where the caller may not read them. */
  domains: string[] | null;
  /** Address of the program, without a slash at its end. */
  root: string;
}

/** A page. */
export interface FiguresPage {
  /** Where it is mounted. */
  base: string;
  /** How the keys of its texts begin. */
  texts: 'page.statistics.' | 'page.sends.';
  scope: Scope;
  styles: AssetName[];
  scripts: AssetName[];
  /** @returns HTML */
  body: (say: Say, shown: Shown) => string;
}

/** To be mounted at the page's `base`. */
export function figuresPage({ base, texts, scope, styles, scripts, body }: FiguresPage): Router {
  const show = async (request: Request, response: Response): Promise<void> => {
    const language = languageOf(request);
    const say: Say = (key) => escapeHtml(render({ key, values: { app: settings.APP_NAME } }, language));
    const caller = response.locals['caller'] as Caller;
    const mayList = caller.super_admin && mayUse(caller.scopes, 'spaces:read');
    const domains = mayList ? (await listSpaces()).map(({ domain }) => domain) : null;
    const shown = { language, caller, domains, root: rootOf(request) };
    writePage(response, { status: 200, language, title: say(`${texts}title`), styles, scripts, body: body(say, shown) });
  };
  const router = Router();
  router.use(protect({ base, access: 'admin', scope, title: `${texts}title`, lead: `${texts}lead`, wrong: `${texts}wrong` }));
  router.get('/', show);
  return router;
}
