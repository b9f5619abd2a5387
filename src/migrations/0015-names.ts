// Names are looked for whatever their letter case: imported ones may have capitals. Under the collation "C" only ASCII letters change, so that an
// index means the same with any locale and after an update of it.
import type { Sequelize } from 'sequelize';
import { createIndexConcurrently } from './indexes';

export async function up(database: Sequelize): Promise<void> {
  for (const table of ['accounts', 'accounts_tombstones']) {
    await createIndexConcurrently(database, { name: `${table}_name_idx`, table, on: '(lower(username COLLATE "C"), domain)' });
    // Until then the planner knows nothing of the expression.
    await database.query(`ANALYZE ${table}`);
  }
}
