// Ceiling: Express 5 and `pg`: the caller by API key, then the whole account, each a prepared statement.
import { createServer } from 'node:http';
import express from 'express';
import { serve } from './serve';
import { findAccount, findCaller, present } from './statements';

const app = express();
app.get('/api/accounts/me', async (request, response) => {
  const caller = await findCaller(request.get('x-api-key'));
  const account = caller && (await findAccount(caller.account_id));
  if (account) response.json(present(account));
  else response.sendStatus(401);
});
serve(createServer(app));
