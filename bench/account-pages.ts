// Finding accounts among many: page 1, page 40,000 and both searches, a million accounts against ten thousand.
import { execute } from '../src/infra/sequelize';
import { findAccountPage, foldAccountCounts } from '../src/services/accounts/pages';
import { findAccountViewByEmail, findAccountViewBySip } from '../src/services/accounts/views';
import { deleteSpace } from '../src/services/spaces/deletion';
import { createOrUpdateSpace } from '../src/services/spaces/spaces';

const DOMAIN = 'bench.invalid';
const SMALL = 10_000;
const LARGE = 1_000_000;
/** What one statement may take is bounded; so many accounts a statement. */
const CHUNK = 20_000;
const TRIES = 21;

async function fill(from: number, until: number): Promise<void> {
  for (let first = from; first < until; first += CHUNK) {
    await execute(
      `INSERT INTO accounts (username, domain, email, ip_address, user_agent, created_at)
       SELECT 'bench' || n, $1, 'bench' || n || '@bench.invalid', '192.0.2.1', 'bench', now() FROM generate_series($2::integer, $3::integer) n`,
      [DOMAIN, first, Math.min(first + CHUNK, until) - 1],
    );
  }
  await foldAccountCounts();
  await execute('ANALYZE accounts');
}

/** Median milliseconds. */
async function median(work: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let n = 0; n < TRIES; n += 1) {
    const started = performance.now();
    await work();
    times.push(performance.now() - started);
  }
  return times.toSorted((a, b) => a - b)[TRIES >> 1] ?? 0;
}

async function measure(accounts: number): Promise<Map<string, number>> {
  const last = accounts / 20;
  const middle = Math.floor((accounts * 4) / 5);
  return new Map([
    ['page 1', await median(() => findAccountPage(1, DOMAIN))],
    ['page at four fifths', await median(() => findAccountPage((last * 4) / 5, DOMAIN))],
    ['page at four fifths, all spaces', await median(() => findAccountPage((last * 4) / 5, null))],
    ['search by SIP address', await median(() => findAccountViewBySip(`bench${middle}`, DOMAIN, DOMAIN))],
    ['search by email', await median(() => findAccountViewByEmail(`Bench${middle}@bench.invalid`, DOMAIN))],
  ]);
}

/** @returns lines to print */
export async function benchAccountPages(): Promise<string[]> {
  try {
    await createOrUpdateSpace(DOMAIN, { isSuper: false });
    await fill(0, SMALL);
    const small = await measure(SMALL);
    await fill(SMALL, LARGE);
    const large = await measure(LARGE);
    return [...large].map(
      ([name, time]) =>
        `${name}: ${time.toFixed(1)} ms among ${LARGE} accounts, ${(time / (small.get(name) ?? 1)).toFixed(1)} times as among ${SMALL}`,
    );
  } finally {
    await deleteSpace(DOMAIN);
    await foldAccountCounts();
  }
}
