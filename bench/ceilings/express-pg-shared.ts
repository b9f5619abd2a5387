// Ceiling: as express-pg, but the look-ups of one turn of the event loop share a statement.
import { createServer } from 'node:http';
import express from 'express';
import { oneTick } from './one-tick';
import { serve } from './serve';
import { findCaller } from './shared-callers';
import { type AccountRow, ACCOUNTS, hashed, pool, present } from './statements';

const findAccount = oneTick<number, AccountRow>(async (ids) => {
  const { rows } = await pool.query<AccountRow>({
    name: 'accounts',
    text: `${ACCOUNTS} WHERE a.id IN (SELECT unnest($1::integer[]))`,
    values: [ids],
  });
  return new Map(rows.map((row) => [row.id, row]));
});

const app = express();
app.get('/api/accounts/me', async (request, response) => {
  const caller = await findCaller(hashed(request.get('x-api-key')));
  const account = caller && (await findAccount(caller.account_id));
  if (account) response.json(present(account));
  else response.sendStatus(401);
});
serve(createServer(app));
