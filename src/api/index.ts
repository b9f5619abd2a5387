// Every endpoint, in matching order.
import type { AnyRow } from '../http/route';
import { accountCreationTokens } from './account-creation-tokens';
import { accounts } from './accounts';
import { ping } from './ping';
import { statistics } from './statistics';

export const endpoints: readonly AnyRow[] = [...ping, ...accountCreationTokens, ...accounts, ...statistics];
