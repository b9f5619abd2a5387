// Look-ups of callers of one turn of the event loop in one statement.
import { oneTick } from './one-tick';
import { type Caller, CALLERS, pool } from './statements';

/** The caller by the hash of its key. */
export const findCaller = oneTick<string, Caller>(async (keys) => {
  const { rows } = await pool.query<Caller>({
    name: 'callers',
    text: `${CALLERS} AND k.key IN (SELECT unnest($1::text[]))`,
    values: [keys],
  });
  return new Map(rows.map((row) => [row.key, row]));
});
