// The table `sends` becomes the ledger of every push, SMS, mail and SIP message, a partition a month. What is due stays in it, as before.
import type { Sequelize } from 'sequelize';

/**
 * Without a primary key, which would have to name `created_at` and make it required: the release before writes rows without it. Ids come from one
 * sequence. No index has what the end of a send changes (`state`, `outcome`, `provider_id`), so that the row stays on its page (HOT): what is due is found by
 * `next_at`, which pushes never have. Nor a foreign key to accounts: one that sends all day has any number of rows, and they are removed in pieces once it
 * is gone (pending-deletion.ts). Rows that have ended keep their `next_at`, by which the next cleaning finds them and takes out what none may have.
 */
const STATEMENTS = `
ALTER TABLE sends RENAME TO sends_before;
ALTER TABLE sends_before DROP CONSTRAINT sends_account_id_fkey;
DROP INDEX sends_account_id_idx, sends_due_idx, sends_sending_idx, sends_created_at_idx;
CREATE SEQUENCE sends_ids AS bigint;
SELECT setval('sends_ids', nextval(pg_get_serial_sequence('sends_before', 'id')));
CREATE TABLE sends (
  id bigint NOT NULL DEFAULT nextval('sends_ids'),
  channel text NOT NULL,
  kind text NOT NULL,
  account_id integer,
  domain varchar(255),
  subject_id bigint,
  recipient varchar(255),
  recipient_mask varchar(255),
  recipient_hash varchar(64),
  country varchar(2),
  phone_prefix varchar(16),
  provider text,
  target varchar(255),
  key_digest varchar(64),
  code varchar(14),
  guesses smallint NOT NULL DEFAULT 0,
  language varchar(2) NOT NULL DEFAULT 'en',
  request_id text,
  state text NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'sending', 'sent', 'failed', 'unknown')),
  outcome text,
  reason text,
  provider_code varchar(64),
  last_reason text,
  attempts smallint NOT NULL DEFAULT 0,
  queued_ms integer,
  provider_ms integer,
  provider_id varchar(64),
  delivery text,
  delivered_at timestamptz,
  converted_at timestamptz,
  next_at timestamptz DEFAULT now(),
  expires_at timestamptz,
  lease_until timestamptz,
  ended_at timestamptz,
  created_at timestamptz DEFAULT now(),
  updated_at timestamptz DEFAULT now()
) PARTITION BY RANGE (created_at);
CREATE TABLE sends_default PARTITION OF sends DEFAULT WITH (fillfactor = 80);
CREATE INDEX sends_id_idx ON sends (id);
CREATE INDEX sends_account_idx ON sends (account_id, created_at) WHERE account_id IS NOT NULL;
CREATE INDEX sends_domain_idx ON sends (domain, created_at);
CREATE INDEX sends_created_idx ON sends (created_at, subject_id);
CREATE INDEX sends_recipient_idx ON sends (recipient_hash, created_at) WHERE recipient_hash IS NOT NULL;
CREATE INDEX sends_next_idx ON sends (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX sends_lease_idx ON sends (lease_until) WHERE lease_until IS NOT NULL;
INSERT INTO sends (id, channel, kind, account_id, recipient, key_digest, code, guesses, language, request_id, state, attempts, next_at, expires_at,
                   lease_until, ended_at, last_reason, created_at, updated_at)
SELECT id, channel, kind, account_id, recipient, key_digest, code, guesses, language, request_id, state, attempts,
       coalesce(next_at, now()), expires_at, lease_until, ended_at, last_reason, coalesce(created_at, now()), updated_at
  FROM sends_before;
DROP TABLE sends_before;
`;

export async function up(database: Sequelize): Promise<void> {
  await database.query(STATEMENTS);
}
