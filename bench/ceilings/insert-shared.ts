// Messages of one turn of the event loop stored by one INSERT.
import { oneTick } from './one-tick';
import { INSERT, type Message, rowOf } from './messages';
import { pool } from './statements';

/** Stores a message. */
export const store = oneTick<Message, true>(async (messages) => {
  const rows = messages.map(rowOf);
  await pool.query({
    name: 'inserts',
    text: `${INSERT} SELECT *, now(), now() FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::boolean[], $6::text[])`,
    values: [0, 1, 2, 3, 4, 5].map((column) => rows.map((row) => row[column])),
  });
  return new Map(messages.map((message) => [message, true]));
});
