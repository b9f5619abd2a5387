// Which email of an account somebody has shown to receive mail at: a token by email lets in nobody else. Nobody's is confirmed to begin with, since
// rows do not tell how their email came there; `accounts:confirm-emails` is how an operator vouches for those of a Space.
import type { Sequelize } from 'sequelize';

export async function up(database: Sequelize): Promise<void> {
  await database.query(`
    ALTER TABLE accounts
      -- The address itself, not a flag: whatever changes the email, the release before this one among it, ends what was confirmed.
      ADD COLUMN confirmed_email varchar(255),
      -- Where the key that activates the account was mailed, if nobody but its reader has seen it.
      ADD COLUMN key_mailed_to varchar(255);
    -- Whether an admin of a Space was shown the code, so that redeeming it shows nothing about the recipient.
    ALTER TABLE email_change_codes ADD COLUMN shown boolean NOT NULL DEFAULT false;
    ALTER TABLE phone_change_codes ADD COLUMN shown boolean NOT NULL DEFAULT false;
  `);
}
