// Every text a person may read, in each language. The compiler refuses a catalogue that lacks a key.
import { en } from './en';
import { fr } from './fr';

export type MessageKey = keyof typeof en;

/** A text that is not rendered yet: services speak no language. */
export interface Message {
  key: MessageKey;
  values: Record<string, string | number>;
}

/** Names of fields in the language, where they differ from the field's own name. */
export interface Catalogue {
  texts: Record<MessageKey, string>;
  attributes: Record<string, string>;
}

export const LANGUAGES = ['en', 'fr'] as const;
export type Language = (typeof LANGUAGES)[number];

export const catalogues: Record<Language, Catalogue> = {
  en: { texts: en, attributes: {} },
  fr: {
    texts: fr,
    attributes: {
      username: 'pseudo',
      password: 'mot de passe',
      phone: 'téléphone',
      title: 'titre',
      value: 'valeur',
      name: 'nom',
      account_id: 'numéro de compte',
      scopes: 'portées',
      expires_at: 'date d’expiration',
      expires_after_last_used_minutes: 'minutes sans usage',
      allowed_addresses: 'adresses autorisées',
      grace_minutes: 'minutes de grâce',
    },
  },
};

/**
 * Renders a message. `{attribute}` is a field's name, translated where the catalogue has it, else with spaces for underscores; other values go
 * in as they are. Not escaped: whoever writes HTML does that.
 */
export function render({ key, values }: Message, language: Language): string {
  const { texts, attributes } = catalogues[language];
  return texts[key].replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    if (value === undefined) return whole;
    return name === 'attribute' ? (attributes[value] ?? String(value).replaceAll('_', ' ')) : String(value);
  });
}
