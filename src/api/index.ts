// Every endpoint, and what the documentation says beside. In matching order: /accounts/me stands before /accounts/:id.
import type { AnyEndpoint, Api } from '../http/route';
import { accountActions } from './account-actions';
import { accountCreationTokens } from './account-creation-tokens';
import { accountTypes } from './account-types';
import { accounts } from './accounts';
import { accountsAdmin } from './accounts-admin';
import { accountsUnsecure } from './accounts-unsecure';
import { changeCodes } from './change-codes';
import { contacts } from './contacts';
import { contactsLists } from './contacts-lists';
import { devices } from './devices';
import { dictionary } from './dictionary';
import { groups } from './groups';
import { keys } from './keys';
import { messages } from './messages';
import { parameters } from './parameters';
import { namedKeys } from './named-keys';
import { phoneCountries } from './phone-countries';
import { ping } from './ping';
import { pushNotifications } from './push-notifications';
import { sends } from './sends';
import { queues } from './queues';
import { shapes } from './shapes';
import { spaces } from './spaces';
import { statisticsReporting } from './statistics-reporting';
import { statisticsReading } from './statistics-reading';
import { vcardsStorage } from './vcards-storage';

/** All endpoints under /api. */
export const endpoints: readonly AnyEndpoint[] = [
  ping,
  spaces,
  accountCreationTokens,
  keys,
  namedKeys,
  accounts,
  accountsAdmin,
  accountsUnsecure,
  changeCodes,
  devices,
  contacts,
  vcardsStorage,
  dictionary,
  accountActions,
  contactsLists,
  accountTypes,
  messages,
  pushNotifications,
  sends,
  queues,
  phoneCountries,
  statisticsReporting,
  statisticsReading,
].flat();

/** All that the OpenAPI document is made of. */
export const api: Api = { endpoints, groups, parameters, error: shapes.error };
