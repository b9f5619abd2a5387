// Spaces: which one a request is for, and making them.
import { settings } from '../../../config';
import { inTransaction, violatedConstraint } from '../../infra/database';
import { select } from '../../infra/sequelize';
import { unprocessable } from '../../infra/errors';
import { requestSpaceSql } from '../../models/spaces/space';

export interface SpaceRow {
  id: number;
  domain: string;
  host: string;
  super: boolean;
  max_accounts: number;
  expire_at: Date | null;
}

/** The Space that a request is for. Null only where even the default one was never made. */
export async function findRequestSpace(host: string): Promise<SpaceRow | null> {
  const [space] = await select<SpaceRow>(
    `SELECT id, domain, host, super, max_accounts, expire_at FROM spaces ${requestSpaceSql('$1', '$2')}`,
    [host, settings.APP_SIP_DOMAIN],
  );
  return space ?? null;
}

/** Makes a Space, or changes host and role of the one with that domain. @returns whether it is new */
export async function createOrUpdateSpace(domain: string, { host, isSuper }: { host?: string; isSuper: boolean }): Promise<boolean> {
  const [row] = await select<{ created: boolean }>(
    `INSERT INTO spaces (domain, host, super, created_at, updated_at) VALUES ($1::text, coalesce($2::text, $1::text), $3, now(), now())
     ON CONFLICT (domain) DO UPDATE SET host = coalesce($2::text, spaces.host), super = $3, updated_at = now()
     RETURNING (xmax = 0) AS created`,
    [domain.toLowerCase(), host?.toLowerCase() ?? null, isSuper],
  );
  return row?.created === true;
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
] as const;
export type SpaceFlag = (typeof SPACE_FLAGS)[number];

export type SpaceValues = Record<SpaceFlag, boolean> & {
  host?: string;
  max_account: number;
  max_accounts: number;
  expire_at: Date | null;
};
export type FullSpace = Omit<SpaceRow, 'super'> & Required<SpaceValues> & { created_at: Date; updated_at: Date };

const COLUMNS = [...SPACE_FLAGS, 'max_account', 'max_accounts', 'expire_at'] as const;
const SELECTED = `id, domain, host, ${COLUMNS.join(', ')}, created_at, updated_at`;

export const listSpaces = (): Promise<FullSpace[]> => select<FullSpace>(`SELECT ${SELECTED} FROM spaces ORDER BY id`);

export async function findSpace(domain: string): Promise<FullSpace | null> {
  const [space] = await select<FullSpace>(`SELECT ${SELECTED} FROM spaces WHERE domain = $1`, [domain.toLowerCase()]);
  return space ?? null;
}

const taken = (field: 'domain' | 'host'): ReturnType<typeof unprocessable> =>
  unprocessable({ [field]: [{ key: 'space.domain_taken', values: { attribute: field } }] });

/** Runs a write; another Space's domain or host in it is a 422 that names the field. */
async function unique<T>(write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    const constraint = violatedConstraint(error);
    if (constraint === 'spaces_domain_key') throw taken('domain');
    if (constraint === 'spaces_host_key') throw taken('host');
    throw error;
  }
}

/** @throws {ApiError} 422 where the domain or host is another Space's */
export async function createSpace(domain: string, values: SpaceValues): Promise<FullSpace> {
  const name = domain.toLowerCase();
  const columns = COLUMNS.map((column) => values[column]);
  const [space] = await unique(() =>
    select<FullSpace>(
      `INSERT INTO spaces (domain, host, ${COLUMNS.join(', ')}, created_at, updated_at)
       VALUES ($1, $2, ${COLUMNS.map((_, index) => `$${index + 3}`).join(', ')}, now(), now()) RETURNING ${SELECTED}`,
      [name, (values.host ?? name).toLowerCase(), ...columns],
    ),
  );
  if (!space) throw new Error('INSERT … RETURNING gave no row');
  return space;
}

/** Changes all but the domain; a host that is absent stays. @throws {ApiError} 422 for a taken host, or a limit below what is there */
export async function updateSpace(domain: string, values: SpaceValues): Promise<FullSpace | null> {
  return unique(() =>
    inTransaction(async () => {
      const name = domain.toLowerCase();
      // The lock under which accounts are made in a Space with a limit (services/accounts.ts).
      const [space] = await select<{ accounts: number }>('SELECT 0 AS accounts FROM spaces WHERE domain = $1 FOR NO KEY UPDATE', [name]);
      if (!space) return null;
      if (values.max_accounts > 0) {
        const [count] = await select<{ accounts: number }>('SELECT count(*)::integer AS accounts FROM accounts WHERE domain = $1', [name]);
        if ((count?.accounts ?? 0) > values.max_accounts) {
          throw unprocessable({
            max_accounts: [{ key: 'space.max_accounts_low', values: { attribute: 'max_accounts', count: count?.accounts ?? 0 } }],
          });
        }
      }
      const [changed] = await select<FullSpace>(
        `UPDATE spaces SET host = coalesce($2::text, host), ${COLUMNS.map((column, index) => `${column} = $${index + 3}`).join(', ')}, updated_at = now()
          WHERE domain = $1 RETURNING ${SELECTED}`,
        [name, values.host?.toLowerCase() ?? null, ...COLUMNS.map((column) => values[column])],
      );
      return changed ?? null;
    }),
  );
}
