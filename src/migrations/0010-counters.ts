// Counters and ids that would reach the end of 32 bits within months, the number of accounts of a Space at once, and hours that cannot be counted.
import { QueryTypes, type Sequelize } from 'sequelize';
import { givingWay } from './apply';

/** Rows that are over whatever the settings say. Releases before never deleted some of them, and what is gone need not be written anew. */
const OVER: [table: string, condition: string][] = [
  ['nonces', "created_at < now() - interval '1 day'"],
  ['auth_tokens', "created_at < now() - interval '1 day'"],
  ['account_creation_request_tokens', "created_at < now() - interval '1 day' AND (used OR validated_at IS NULL)"],
];
const DELETED_AT_ONCE = 10_000;

/** Each table is written anew, in a transaction of its own. */
const WIDENED: [table: string, columns: string[]][] = [
  ['api_keys', ['id', 'requests']],
  ['nonces', ['id']],
  ['messages', ['id']],
  ['auth_tokens', ['id']],
  ['account_creation_request_tokens', ['id', 'acc_creation_token_id']],
  ['account_creation_tokens', ['id']],
  ['provisioning_tokens', ['id']],
  ['email_change_codes', ['id']],
  ['phone_change_codes', ['id']],
];

const STATEMENTS = `
  -- Follows account_counts by triggers, so that it is right whichever release folds the changes into them.
  CREATE TABLE IF NOT EXISTS account_totals (domain varchar(64) PRIMARY KEY, accounts bigint NOT NULL);
  CREATE OR REPLACE FUNCTION total_accounts() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    IF TG_OP = 'INSERT' THEN
      INSERT INTO account_totals AS t SELECT domain, sum(accounts) FROM added GROUP BY domain ORDER BY domain
      ON CONFLICT (domain) DO UPDATE SET accounts = t.accounts + excluded.accounts;
    ELSIF TG_OP = 'DELETE' THEN
      INSERT INTO account_totals AS t SELECT domain, -sum(accounts) FROM removed GROUP BY domain HAVING sum(accounts) <> 0 ORDER BY domain
      ON CONFLICT (domain) DO UPDATE SET accounts = t.accounts + excluded.accounts;
    ELSE
      INSERT INTO account_totals AS t
      SELECT domain, sum(n) FROM (SELECT domain, accounts AS n FROM added UNION ALL SELECT domain, -accounts FROM removed) AS changed
       GROUP BY domain HAVING sum(n) <> 0 ORDER BY domain
      ON CONFLICT (domain) DO UPDATE SET accounts = t.accounts + excluded.accounts;
    END IF;
    RETURN NULL;
  END $$;
  DROP TRIGGER IF EXISTS counts_added ON account_counts;
  CREATE TRIGGER counts_added AFTER INSERT ON account_counts REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION total_accounts();
  DROP TRIGGER IF EXISTS counts_removed ON account_counts;
  CREATE TRIGGER counts_removed AFTER DELETE ON account_counts REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION total_accounts();
  DROP TRIGGER IF EXISTS counts_changed ON account_counts;
  CREATE TRIGGER counts_changed AFTER UPDATE ON account_counts REFERENCING OLD TABLE AS removed NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION total_accounts();
  -- The triggers' lock keeps writers out until the transaction ends.
  DELETE FROM account_totals;
  INSERT INTO account_totals (domain, accounts) SELECT domain, sum(accounts) FROM account_counts GROUP BY domain;

  -- Hours of a domain that could not be counted; they are tried again after a while.
  CREATE TABLE IF NOT EXISTS statistics_failed_buckets (
    kind text NOT NULL,
    hour timestamptz NOT NULL,
    domain varchar(256) NOT NULL,
    reason text NOT NULL,
    failed_at timestamptz NOT NULL,
    PRIMARY KEY (kind, hour, domain)
  );
`;

export async function up(database: Sequelize): Promise<void> {
  await givingWay(database, '0010-counters', async () => void (await database.query(STATEMENTS)));
  for (const [table, condition] of OVER) {
    const some = `DELETE FROM ${table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM ${table} WHERE ${condition} LIMIT ${DELETED_AT_ONCE} FOR UPDATE SKIP LOCKED)) RETURNING 1`;
    while ((await database.query(some, { type: QueryTypes.SELECT })).length > 0);
  }
  for (const [table, columns] of WIDENED) {
    const what = `0010-counters ${table}`;
    await givingWay(database, what, async () => {
      // The type that it has already costs nothing.
      await database.query(`ALTER TABLE ${table} ${columns.map((column) => `ALTER COLUMN ${column} TYPE bigint`).join(', ')}`);
    });
  }
}
