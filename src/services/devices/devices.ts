// An account's devices, as Flexisip's registrar knows them: read and removed in its own Redis, of which only `fs:<aor>` is touched.
import { settings } from '../../../config';
import { unavailable } from '../../infra/errors';
import { log, reasonOf } from '../../infra/log';
import { closeRedis, connectRedis, whenReady, type RedisConnection } from '../../infra/redis';
import { withTimeout } from '../../infra/timeout';
import { parseRegistrarContact, type Device } from './registrar-contacts';
import type { SipAddress } from '../../infra/sip-uri';

/** For all that one request asks of it. */
const REGISTRAR_TIMEOUT_MS = 2000;

let registrar: RedisConnection | undefined;

/** Runs `work` on the registrar's Redis. @throws {ApiError} 503 where there is no such Redis, or it does not answer in time */
async function withRegistrar<T>(work: (redis: RedisConnection) => Promise<T>): Promise<T> {
  if (settings.FLEXISIP_REDIS_URL === undefined) throw unavailable('registrar.not_configured');
  const redis = (registrar ??= connectRedis('guest', settings.FLEXISIP_REDIS_URL, "the registrar's Redis"));
  try {
    return await withTimeout(
      whenReady(redis).then(() => work(redis)),
      REGISTRAR_TIMEOUT_MS,
      "asking the registrar's Redis",
    );
  } catch (error) {
    log.warn({ reason: reasonOf(error) }, "the registrar's Redis did not answer");
    throw unavailable('registrar.unavailable', {}, { headers: { 'retry-after': '5' } });
  }
}

const aorOf = ({ username, domain }: SipAddress): string => `${username}@${domain}`;

/**
 * The devices that an account is registered from; contacts that cannot be read, or name no instance, are left out.
 *
 * @throws {ApiError} 503 where the registrar is not configured, or does not answer in time
 */
export async function findDevices(account: SipAddress): Promise<Device[]> {
  const contacts = await withRegistrar((redis) => redis.hgetall(`fs:${aorOf(account)}`));
  return Object.values(contacts)
    .map(parseRegistrarContact)
    .filter((device) => device !== null);
}

/**
 * Takes a device out of the registrar and tells the proxies, both or neither.
 *
 * @param uuid as findDevices() gives it; quotes and brackets around it are tolerated
 * @returns whether there was one
 * @throws {ApiError} 503 where the registrar is not configured, or does not answer in time
 */
export async function deleteDevice(account: SipAddress, uuid: string): Promise<boolean> {
  const aor = aorOf(account);
  const key = `fs:${aor}`;
  const field = `"<${uuid.replace(/^"?<?|>?"?$/g, '')}>"`;
  return withRegistrar(async (redis) => {
    if ((await redis.hexists(key, field)) === 0) return false;
    const results = await redis.multi().hdel(key, field).publish(aor, '').exec();
    const [error, deleted] = results?.[0] ?? [new Error('EXEC gave nothing'), 0];
    if (error) throw error;
    return deleted === 1;
  });
}

/** Closes the connection to the registrar's Redis, where one was opened. */
export async function closeRegistrar(): Promise<void> {
  if (registrar) await closeRedis(registrar);
  registrar = undefined;
}
