// Forms of pages for admins, and the texts that their scripts fill in.
import { escapeHtml } from '../infra/html';
import type { Caller } from '../http/route';
import { catalogues, type Language, type MessageKey } from '../i18n';

/** A text as HTML. */
export type Say = (key: MessageKey) => string;

/** An option of a list. @param text HTML */
export const option = (value: string, text: string): string => `<option value="${escapeHtml(value)}">${text}</option>`;
/** A control with its label, both HTML. */
export const field = (name: string, label: string, control: string): string =>
  `<div class="field" data-field="${name}"><label for="${name}">${label}</label>${control}</div>`;
/** A list with its label. @param options as option() makes them */
export const select = (name: string, label: string, options: string[]): string =>
  field(name, label, `<select id="${name}" name="${name}">${options.join('')}</select>`);

/** Data for a page's script, as the element `#data`. */
export const dataFor = (data: object): string =>
  `<script type="application/json" id="data">${JSON.stringify(data).replaceAll('<', '\\u003c')}</script>`;

/** The texts whose keys begin with a prefix, without it. */
export function textsFor(prefix: string, language: Language): Record<string, string> {
  const all = Object.entries(catalogues[language].texts).filter(([key]) => key.startsWith(prefix));
  return Object.fromEntries(all.map(([key, text]) => [key.slice(prefix.length), text]));
}

/**
 * An admin has the own Space, a super admin any: out of a list, which is the Spaces' to read; who may not is asked for a domain.
 *
 * @param label HTML
 * @param all what no choice is called, as HTML
 * @param domains of all Spaces; null where the caller may not read them
 */
export function spaceField(label: string, all: string, { super_admin, domain }: Caller, domains: string[] | null): string {
  if (!super_admin) return field('domain', label, `<output id="domain">${escapeHtml(domain)}</output>`);
  if (domains === null) return field('domain', label, `<input id="domain" name="domain" placeholder="${all}" spellcheck="false">`);
  return select('domain', label, [option('', all), ...domains.map((each) => option(each, escapeHtml(each)))]);
}
