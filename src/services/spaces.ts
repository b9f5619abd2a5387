// Spaces: which one a request is for, and making them.
import { settings } from '../../config';
import { rows } from '../database';

export interface SpaceRow {
  id: number;
  domain: string;
  host: string;
  super: boolean;
  max_accounts: number;
  expire_at: Date | null;
}

/**
 * The condition and order that find the request's Space among `spaces` (api.md 1.8): host, else domain, else the default.
 * `host` and `fallback` name the placeholders of the Host header and of APP_SIP_DOMAIN.
 */
export const requestSpaceSql = (host: string, fallback: string): string =>
  `WHERE host = ${host} OR domain = ${host} OR domain = ${fallback} ORDER BY (host = ${host}) DESC, (domain = ${host}) DESC LIMIT 1`;

/** The Space that a request is for. Null only where even the default one was never made. */
export async function findRequestSpace(host: string): Promise<SpaceRow | null> {
  const [space] = await rows<SpaceRow>(
    `SELECT id, domain, host, super, max_accounts, expire_at FROM spaces ${requestSpaceSql('$1', '$2')}`,
    [host, settings.APP_SIP_DOMAIN],
  );
  return space ?? null;
}

/** Makes a Space, or changes host and role of the one with that domain. @returns whether it is new */
export async function createOrUpdateSpace(domain: string, { host, isSuper }: { host?: string; isSuper: boolean }): Promise<boolean> {
  const [row] = await rows<{ created: boolean }>(
    `INSERT INTO spaces (domain, host, super, created_at, updated_at) VALUES ($1::text, coalesce($2::text, $1::text), $3, now(), now())
     ON CONFLICT (domain) DO UPDATE SET host = coalesce($2::text, spaces.host), super = $3, updated_at = now()
     RETURNING (xmax = 0) AS created`,
    [domain.toLowerCase(), host?.toLowerCase() ?? null, isSuper],
  );
  return row?.created === true;
}
