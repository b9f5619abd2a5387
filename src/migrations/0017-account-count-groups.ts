// Accounts by domain and hundred blocks of ids: where a page begins is found among hundreds of rows, however many accounts there are. With blocks alone
// it was ten thousand rows among ten million accounts, which took longer than all the rest of a page.
import type { Sequelize } from 'sequelize';

const STATEMENTS = `
CREATE TABLE account_count_groups (
  domain varchar(64) NOT NULL,
  blocks integer NOT NULL,
  accounts integer NOT NULL,
  PRIMARY KEY (domain, blocks)
);
-- Follows account_counts by triggers, so that it is right whichever release folds the changes into them.
CREATE FUNCTION group_account_counts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO account_count_groups AS g SELECT domain, block / 100, sum(accounts) FROM added GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (domain, blocks) DO UPDATE SET accounts = g.accounts + excluded.accounts;
  ELSIF TG_OP = 'DELETE' THEN
    INSERT INTO account_count_groups AS g
    SELECT domain, block / 100, -sum(accounts) FROM removed GROUP BY 1, 2 HAVING sum(accounts) <> 0 ORDER BY 1, 2
    ON CONFLICT (domain, blocks) DO UPDATE SET accounts = g.accounts + excluded.accounts;
  ELSE
    INSERT INTO account_count_groups AS g
    SELECT domain, block / 100, sum(n) FROM (SELECT domain, block, accounts AS n FROM added UNION ALL SELECT domain, block, -accounts FROM removed) AS changed
     GROUP BY 1, 2 HAVING sum(n) <> 0 ORDER BY 1, 2
    ON CONFLICT (domain, blocks) DO UPDATE SET accounts = g.accounts + excluded.accounts;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER counts_added_to_groups AFTER INSERT ON account_counts REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION group_account_counts();
CREATE TRIGGER counts_removed_from_groups AFTER DELETE ON account_counts REFERENCING OLD TABLE AS removed
  FOR EACH STATEMENT EXECUTE FUNCTION group_account_counts();
CREATE TRIGGER counts_changed_in_groups AFTER UPDATE ON account_counts REFERENCING OLD TABLE AS removed NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION group_account_counts();
-- The triggers' lock keeps writers out until the transaction ends.
INSERT INTO account_count_groups (domain, blocks, accounts) SELECT domain, block / 100, sum(accounts) FROM account_counts GROUP BY 1, 2;
-- For whoever sees the accounts of all domains.
CREATE INDEX account_counts_block_idx ON account_counts (block);
`;

export async function up(database: Sequelize): Promise<void> {
  await database.query(STATEMENTS);
}
