// DIGEST nonces.
import { execute } from '../database';

/** Deletes nonces older than `minutes`. @returns how many */
export async function clearNonces(minutes: number): Promise<number> {
  return execute('DELETE FROM nonces WHERE created_at < now() - make_interval(mins => $1)', [minutes]);
}
