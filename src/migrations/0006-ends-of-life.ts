// Indexes by which rows are found whose life is over, and how many tokens one address has asked for.
import type { Sequelize } from 'sequelize';

export async function up(database: Sequelize): Promise<void> {
  await database.query(`
    CREATE INDEX account_creation_tokens_unused_idx ON account_creation_tokens (created_at) WHERE NOT used;
    CREATE INDEX account_creation_request_tokens_pending_idx ON account_creation_request_tokens (id) WHERE NOT used AND validated_at IS NULL;
    CREATE INDEX account_creation_request_tokens_ip_idx ON account_creation_request_tokens (ip, created_at);
    CREATE INDEX auth_tokens_ip_idx ON auth_tokens (ip, created_at);
    CREATE INDEX provisioning_tokens_created_at_idx ON provisioning_tokens (created_at);
    CREATE INDEX email_change_codes_created_at_idx ON email_change_codes (created_at);
    CREATE INDEX phone_change_codes_created_at_idx ON phone_change_codes (created_at);
    CREATE INDEX recovery_codes_created_at_idx ON recovery_codes (created_at);
    CREATE INDEX email_change_codes_sending_idx ON email_change_codes (send_deadline) WHERE send_state = 'sending';
    CREATE INDEX phone_change_codes_sending_idx ON phone_change_codes (send_deadline) WHERE send_state = 'sending';
  `);
}
