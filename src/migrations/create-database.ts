// Making the database itself, which is before any migration. Imports no settings: `npm start` does it before there are any.
import pg from 'pg';

const DUPLICATE_DATABASE = '42P04';

/**
 * Makes an empty database; one that is there is left as it is.
 *
 * @param maintenanceUrl another database of the same server, such as `postgres`, with a user who may create databases
 * @param name a plain identifier; it is not quoted
 * @throws what pg throws where the server does not answer or refuses
 */
export async function createDatabase(maintenanceUrl: string, name: string): Promise<void> {
  const client = new pg.Client({ connectionString: maintenanceUrl });
  await client.connect();
  try {
    await client.query(`CREATE DATABASE ${name}`);
  } catch (error) {
    if ((error as { code?: string }).code !== DUPLICATE_DATABASE) throw error;
  } finally {
    await client.end();
  }
}
