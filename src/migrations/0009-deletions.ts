// The end of accounts and Spaces in pieces: what is to be removed of them stands in a table, and a job removes it. The account's row goes at
// once, and with it everything that is reached through it.
import type { Sequelize } from 'sequelize';

/** What an account may have any number of: 200,000 contacts take a second to delete. Rows of a deleted account stay until the job has come to them. */
const REMOVED_IN_PIECES = [
  ['nonces', 'account_id'],
  ['account_dictionary_entries', 'account_id'],
  ['account_actions', 'account_id'],
  ['contacts', 'account_id'],
  ['contacts', 'contact_id'],
  ['vcards_storage', 'account_id'],
] as const;

export async function up(database: Sequelize): Promise<void> {
  await database.query(`
    CREATE TABLE pending_deletions (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      domain varchar(64) NOT NULL,
      -- Of a Space there are neither.
      username varchar(64),
      account_id integer,
      -- What was sent or stored later is not theirs: an account or Space of that name may be made anew.
      deleted_at timestamptz NOT NULL DEFAULT clock_timestamp()
    );
    -- By a trigger, so that nothing that deletes accounts forgets it: the release before this one, a Space, an operator's own statement.
    CREATE FUNCTION remember_deleted_accounts() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO pending_deletions (domain, username, account_id) SELECT domain, username, id FROM removed ORDER BY id;
      RETURN NULL;
    END $$;
    CREATE TRIGGER accounts_leave AFTER DELETE ON accounts REFERENCING OLD TABLE AS removed
      FOR EACH STATEMENT EXECUTE FUNCTION remember_deleted_accounts();

    -- Of a Space that was deleted: what was sent before counts no more for its domain, neither as what it sent nor as what it was sent.
    CREATE TABLE statistics_floors (domain varchar(256) PRIMARY KEY, since timestamptz NOT NULL);
  `);
  // The half of a foreign key that keeps rows from being made for an account that is gone; the other half would delete them at once.
  await database.query(`
    CREATE FUNCTION require_account() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
      wanted integer := (to_jsonb(NEW) ->> TG_ARGV[0])::integer;
    BEGIN
      PERFORM 1 FROM accounts WHERE id = wanted FOR KEY SHARE;
      IF NOT FOUND THEN
        RAISE foreign_key_violation USING
          MESSAGE = format('%s of %s: there is no account %s', TG_ARGV[0], TG_TABLE_NAME, wanted),
          TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME;
      END IF;
      RETURN NEW;
    END $$;
  `);
  for (const [table, column] of REMOVED_IN_PIECES)
    await database.query(`
      ALTER TABLE ${table} DROP CONSTRAINT ${table}_${column}_fkey;
      CREATE TRIGGER ${table}_${column}_fkey BEFORE INSERT OR UPDATE OF ${column} ON ${table}
        FOR EACH ROW EXECUTE FUNCTION require_account('${column}');
    `);
}
