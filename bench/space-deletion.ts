// Deleting a Space: its time must grow with what is deleted, not faster. Makes and deletes a Space.
import { deleteSpace } from '../src/services/spaces/deletion';
import { createSpace, query } from './sql';

const DOMAIN = 'bench-deletion.invalid';
const SMALL = 10_000;
const LARGE = 100_000;
/** What one statement may take is bounded; so many accounts a statement. */
const CHUNK = 5000;

/** A Space whose accounts each have a password, a token, a provisioning token, a dictionary entry, a contact and a message. */
async function fill(accounts: number): Promise<void> {
  await createSpace(DOMAIN);
  for (let from = 0; from < accounts; from += CHUNK) {
    const made = await query<{ id: number }>(
      `INSERT INTO accounts (username, domain, ip_address, user_agent, created_at)
       SELECT 'bench' || n, $1, '192.0.2.1', 'bench', now() FROM generate_series($2::integer, $3::integer) n RETURNING id`,
      [DOMAIN, from, from + CHUNK - 1],
    );
    const ids = [made.map(({ id }) => id)];
    await query(`INSERT INTO passwords (account_id, password, algorithm) SELECT unnest($1::integer[]), 'x', 'MD5'`, ids);
    await query(`INSERT INTO provisioning_tokens (account_id, token) SELECT id, 'bench' FROM unnest($1::integer[]) id`, ids);
    await query(
      `INSERT INTO account_creation_tokens (account_id, token, used) SELECT id, 'bench' || id, true FROM unnest($1::integer[]) id`,
      ids,
    );
    await query(`INSERT INTO account_dictionary_entries (account_id, key, value) SELECT id, 'k', 'v' FROM unnest($1::integer[]) id`, ids);
    await query(`INSERT INTO contacts (account_id, contact_id) SELECT id, ($1::integer[])[1] FROM unnest($1::integer[]) id`, ids);
    await query(
      `WITH keys AS (INSERT INTO statistics_message_keys (id, from_domain, sent_at) SELECT 'bench' || id, $2, '2001-01-01' FROM unnest($1::integer[]) id)
       INSERT INTO statistics_messages (id, from_username, from_domain, sent_at) SELECT 'bench' || id, 'b', $2, '2001-01-01' FROM unnest($1::integer[]) id`,
      [...ids, DOMAIN],
    );
  }
}

async function seconds(accounts: number): Promise<number> {
  await fill(accounts);
  const started = performance.now();
  await deleteSpace(DOMAIN);
  return (performance.now() - started) / 1000;
}

/** @returns lines to print */
export async function benchSpaceDeletion(): Promise<string[]> {
  const small = await seconds(SMALL);
  const large = await seconds(LARGE);
  return [`Deleting a Space of ${LARGE} accounts: ${large.toFixed(1)} s, ${(large / small).toFixed(1)} times one of ${SMALL}`];
}
