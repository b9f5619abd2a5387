// Every endpoint, in matching order.
import type { AnyRow } from '../http/route';
import { accountCreationTokens } from './account-creation-tokens';
import { accounts } from './accounts';
import { accountsAdmin } from './accounts-admin';
import { accountsDangerous } from './accounts-dangerous';
import { changeCodes } from './change-codes';
import { keys } from './keys';
import { phoneCountries } from './phone-countries';
import { ping } from './ping';
import { spaces } from './spaces';
import { statistics } from './statistics';

export const endpoints: readonly AnyRow[] = [
  ping,
  spaces,
  accountCreationTokens,
  keys,
  accounts,
  accountsAdmin,
  accountsDangerous,
  changeCodes,
  phoneCountries,
  statistics,
].flat();
