// How many accounts there are, by domain and block of ids: a page far down a million accounts costs what the first one does.
// Triggers append what changes; the maintenance queue folds it. No writer waits for another one.
import type { Sequelize } from 'sequelize';

const STATEMENTS = `
CREATE TABLE account_counts (
  domain varchar(64) NOT NULL,
  block integer NOT NULL,
  accounts integer NOT NULL,
  PRIMARY KEY (domain, block)
);
CREATE TABLE account_count_changes (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  domain varchar(64) NOT NULL,
  block integer NOT NULL,
  accounts integer NOT NULL
);
CREATE INDEX account_count_changes_domain_idx ON account_count_changes (domain);

CREATE FUNCTION count_accounts_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO account_count_changes (domain, block, accounts) SELECT domain, id / 1000, count(*) FROM added GROUP BY 1, 2;
  RETURN NULL;
END $$;
CREATE FUNCTION count_accounts_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO account_count_changes (domain, block, accounts) SELECT domain, id / 1000, -count(*) FROM removed GROUP BY 1, 2;
  RETURN NULL;
END $$;
CREATE FUNCTION count_accounts_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO account_count_changes (domain, block, accounts)
  SELECT domain, block, sum(n) FROM (
    SELECT domain, id / 1000 AS block, 1 AS n FROM added UNION ALL SELECT domain, id / 1000, -1 FROM removed) AS moved
  GROUP BY 1, 2 HAVING sum(n) <> 0;
  RETURN NULL;
END $$;
CREATE TRIGGER accounts_added AFTER INSERT ON accounts REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_accounts_added();
CREATE TRIGGER accounts_removed AFTER DELETE ON accounts REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION count_accounts_removed();
CREATE TRIGGER accounts_moved AFTER UPDATE ON accounts REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_accounts_moved();

INSERT INTO account_counts (domain, block, accounts) SELECT domain, id / 1000, count(*) FROM accounts GROUP BY 1, 2;
`;

export async function up(database: Sequelize): Promise<void> {
  await database.query(STATEMENTS);
}
