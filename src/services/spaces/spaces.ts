// Spaces: which one a request is for, and what may be made of one.
import { settings } from '../../../config';
import { Batcher } from '../../infra/batcher';
import { inTransaction, isInTransaction, onUniqueViolation } from '../../infra/database';
import { fieldError, notFound, unprocessable } from '../../infra/errors';
import { AccountCount, Space } from '../../models';
import { NO_KEY_UPDATE } from '../../models/moments';
import type { RequestSpace } from '../../models/spaces/space';
import { isLastSuperSpace } from '../../models/spaces/super-admins';

const findForRequests = (hosts: string[]): Promise<(RequestSpace | null)[]> => Space.findForRequests(hosts, settings.APP_SIP_DOMAIN);
/** Requests that wait at the same time are mostly for one host, and share a statement in any case. */
const requestSpaces = new Batcher(findForRequests, { keyOf: (host) => host });

/** The Space that a request is for, by its host (lower case, no port). @returns null only where even the default one was never made */
export async function findRequestSpace(host: string): Promise<RequestSpace | null> {
  // What a transaction sees is its own.
  if (!isInTransaction()) return requestSpaces.submit(host);
  const [space = null] = await findForRequests([host]);
  return space;
}

/** The same, for what is made in it. @throws {ApiError} 404 where there is none, not even the default one */
export async function requireRequestSpace(host: string): Promise<RequestSpace> {
  const space = await findRequestSpace(host);
  if (!space) throw notFound('space.unknown');
  return space;
}

/** The domain of the Space that a request is for; the default one's where even that was never made. */
export const findRequestDomain = async (host: string): Promise<string> => (await findRequestSpace(host))?.domain ?? settings.APP_SIP_DOMAIN;

/**
 * Refuses to make a Space an ordinary one where nobody would be left to manage the installation. Inside a transaction that holds the Space's row.
 *
 * @throws {ApiError} 422
 */
async function requireOtherSuperSpace(domain: string): Promise<void> {
  if (await isLastSuperSpace(domain)) throw unprocessable(fieldError('super', 'space.last_super'));
}

/**
 * Makes a Space, or changes host and role of the one with that domain; a host that is absent stays.
 *
 * @returns whether it is new
 * @throws {ApiError} 422 where nobody would be left to manage the installation
 */
export async function createOrUpdateSpace(given: string, { host, isSuper }: { host?: string; isSuper: boolean }): Promise<boolean> {
  const domain = given.toLowerCase();
  return inTransaction(async () => {
    const space = isSuper ? null : await Space.findOne({ attributes: ['super'], where: { domain }, lock: NO_KEY_UPDATE, raw: true });
    if (space?.super) await requireOtherSuperSpace(domain);
    return Space.createOrUpdate({ domain, host: host?.toLowerCase() ?? null, super: isSuper });
  });
}

/** What a person may set of a Space, beside its domain; the order of answers and documentation. */
export const SPACE_FLAGS = [
  'super',
  'disable_chat_feature',
  'disable_meetings_feature',
  'disable_broadcast_feature',
  'hide_settings',
  'hide_account_settings',
  'disable_call_recordings_feature',
  'only_display_sip_uri_username',
  'assistant_hide_create_account',
  'assistant_disable_qr_code',
  'assistant_hide_third_party_account',
] as const satisfies readonly (keyof Space)[];
/** One of them. */
export type SpaceFlag = (typeof SPACE_FLAGS)[number];

/** `max_account` is told to apps, `max_accounts` is enforced; 0 = no limit. A Space without `expire_at` never expires. */
export type SpaceValues = Pick<Space, SpaceFlag | 'max_account' | 'max_accounts' | 'expire_at'> & { host?: string };

/** All Spaces, by id. */
export const listSpaces = (): Promise<Space[]> => Space.findAll({ order: [['id', 'ASC']] });

/** The Space of a domain, whatever its letter case. */
export const findSpace = (domain: string): Promise<Space | null> => Space.findOne({ where: { domain: domain.toLowerCase() } });

const taken = (field: 'domain' | 'host') => (): Error => unprocessable(fieldError(field, 'space.domain_taken'));

/** Runs a write; another Space's domain or host in it is a 422 that names the field. */
const unique = <T>(write: () => Promise<T>): Promise<T> =>
  onUniqueViolation({ spaces_domain_key: taken('domain'), spaces_host_key: taken('host') }, write);

/** Makes a Space; its host is its domain where none is given. @throws {ApiError} 422 where the domain or host is another Space's */
export function createSpace(domain: string, values: SpaceValues): Promise<Space> {
  const name = domain.toLowerCase();
  return unique(() => Space.create({ ...values, domain: name, host: (values.host ?? name).toLowerCase() }));
}

/** Whether a moment is before today, 00:00 UTC. */
export const isBeforeToday = (moment: Date): boolean => moment.getTime() < new Date().setUTCHours(0, 0, 0, 0);

/** @throws {ApiError} 422 where a Space would have ended before today (UTC); what has expired may stay as it is, so that GET's body can be put back */
function requireNotBeforeToday(expireAt: Date | null, known: Date | null): void {
  if (expireAt === null || expireAt.getTime() === known?.getTime()) return;
  if (isBeforeToday(expireAt)) throw unprocessable(fieldError('expire_at', 'field.not_before_today'));
}

/**
 * Changes all but the domain; a host that is absent stays.
 *
 * @returns null where there is no such Space
 * @throws {ApiError} 422 for an end before today, a host that another Space has, a limit below the number of accounts there, or where nobody would be left to manage the
 *   installation
 */
export async function updateSpace(domain: string, { host, ...values }: SpaceValues): Promise<Space | null> {
  const where = { domain: domain.toLowerCase() };
  return unique(() =>
    inTransaction(async () => {
      // The lock under which accounts are made in a Space with a limit.
      const space = await Space.findOne({ attributes: ['super', 'expire_at'], where, lock: NO_KEY_UPDATE, raw: true });
      if (!space) return null;
      requireNotBeforeToday(values.expire_at, space.expire_at);
      if (space.super && !values.super) await requireOtherSuperSpace(where.domain);
      if (values.max_accounts > 0) {
        const count = await AccountCount.ofDomain(where.domain);
        if (count > values.max_accounts) {
          throw unprocessable(fieldError('max_accounts', 'space.max_accounts_low', { count }));
        }
      }
      const [, [changed]] = await Space.update({ ...values, ...(host ? { host: host.toLowerCase() } : {}) }, { where, returning: true });
      return changed ?? null;
    }),
  );
}
