// How providers have fared of late, by the ledger of sends.
import { selectShared } from '../../infra/sequelize';

/** Messages of the last minutes: all that ended, and those that failed although their recipient is not at fault. */
export interface ProviderShare {
  provider: string;
  sends: number;
  failures: number;
}

/**
 * By provider. For those who look whether all is well, on their own connections.
 *
 * @param minutes back from now
 * @param limit sends that are looked at, the newest
 */
export function providerShares(minutes: number, limit: number): Promise<ProviderShare[]> {
  return selectShared<ProviderShare>(
    'health',
    `SELECT provider, count(*)::int AS sends,
            (count(*) FILTER (WHERE outcome IN ('failed', 'unknown', 'refused') AND reason IS DISTINCT FROM 'recipient_refused'))::int AS failures
       FROM (SELECT provider, outcome, reason FROM sends WHERE created_at > now() - make_interval(mins => $1) ORDER BY created_at DESC LIMIT $2) newest
      WHERE provider IS NOT NULL AND outcome IS NOT NULL
      GROUP BY provider ORDER BY provider`,
    [minutes, limit],
  );
}
