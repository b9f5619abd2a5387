// Since when signed nonces count: nonces:clear-expired must also end those that nobody has used yet.
import type { Sequelize } from 'sequelize';

export async function up(database: Sequelize): Promise<void> {
  await database.query('CREATE TABLE nonce_clearings (cleared_before timestamptz NOT NULL)');
}
