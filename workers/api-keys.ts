// The queue `api-keys`: deletes keys that were unused for too long. Their use is written by the web process that saw it.
import { settings } from '../config';
import { clearExpiredApiKeys } from '../src/services/credentials/api-keys';

/** Does a job of the queue `api-keys`. @returns how many keys were deleted; none where keys never expire */
export async function clearApiKeys(): Promise<{ deleted: number }> {
  const minutes = settings.APP_API_KEY_EXPIRATION_MINUTES;
  return { deleted: minutes === 0 ? 0 : await clearExpiredApiKeys(minutes) };
}
