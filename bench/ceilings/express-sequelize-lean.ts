// Ceiling: Express 5 and Sequelize's models with one query for all: the API key with its account, Space and passwords. What else may hang on an
// account it does not ask for, so it does less than the row.
import { createServer } from 'node:http';
import express from 'express';
import { findByKey, isOpen } from './sequelize-models';
import { serve } from './serve';
import { type AccountRow, hashed, present } from './statements';

const NOTHING = { activation_expiration: null, email_change_code: null, phone_change_code: null, provisioning: null };

const app = express();
app.get('/api/accounts/me', async (request, response) => {
  const found = await findByKey(hashed(request.get('x-api-key')), ['passwords']);
  const account = found?.toJSON<{ account?: Parameters<typeof isOpen>[0] & AccountRow }>().account;
  if (!account || !isOpen(account)) return void response.sendStatus(401);
  const passwords = account.passwords.map(({ algorithm }) => ({ algorithm }));
  response.json(present({ ...account, ...NOTHING, passwords, dictionary: {}, types: [], actions: [] }));
});
serve(createServer(app));
