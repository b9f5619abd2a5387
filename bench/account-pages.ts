// Finding accounts among many: page 1, page 40,000 and both searches, a million accounts against ten thousand.
import { AccountCount } from '../src/models';
import { findAccountPage, findAccountViewByEmail, findAccountViewBySipAddress } from '../src/models/accounts/account-view';
import { SYSTEM } from '../src/models/visibility';
import { median } from './median';
import { createSpace, query } from './sql';

const DOMAIN = 'bench-pages.invalid';
const ADMIN = { domain: DOMAIN, super_admin: false };
const SMALL = 10_000;
const LARGE = 1_000_000;
/** What one statement may take is bounded; so many accounts a statement. */
const CHUNK = 20_000;
const TRIES = 21;

async function fill(from: number, until: number): Promise<void> {
  for (let first = from; first < until; first += CHUNK) {
    await query(
      `INSERT INTO accounts (username, domain, email, ip_address, user_agent, created_at)
       SELECT 'bench' || n, $1, 'bench' || n || '@bench-pages.invalid', '192.0.2.1', 'bench', now() FROM generate_series($2::integer, $3::integer) n`,
      [DOMAIN, first, Math.min(first + CHUNK, until) - 1],
    );
  }
  await AccountCount.fold();
  await query('ANALYZE accounts');
}

/** Milliseconds, the median of some tries. */
async function time(work: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let n = 0; n < TRIES; n += 1) {
    const started = performance.now();
    await work();
    times.push(performance.now() - started);
  }
  return median(times);
}

async function measure(accounts: number): Promise<Map<string, number>> {
  const last = accounts / 20;
  const middle = Math.floor((accounts * 4) / 5);
  return new Map([
    ['page 1', await time(() => findAccountPage(1, ADMIN))],
    ['page at four fifths', await time(() => findAccountPage((last * 4) / 5, ADMIN))],
    ['page at four fifths, all spaces', await time(() => findAccountPage((last * 4) / 5, SYSTEM))],
    ['search by SIP address', await time(() => findAccountViewBySipAddress({ username: `bench${middle}`, domain: DOMAIN }, ADMIN))],
    ['search by email', await time(() => findAccountViewByEmail(`Bench${middle}@bench-pages.invalid`, ADMIN))],
  ]);
}

/** @returns lines to print */
export async function benchAccountPages(): Promise<string[]> {
  await createSpace(DOMAIN);
  await fill(0, SMALL);
  const small = await measure(SMALL);
  await fill(SMALL, LARGE);
  const large = await measure(LARGE);
  return [...large].map(
    ([name, took]) =>
      `${name}: ${took.toFixed(1)} ms among ${LARGE} accounts, ${(took / (small.get(name) ?? 1)).toFixed(1)} times as among ${SMALL}`,
  );
}
