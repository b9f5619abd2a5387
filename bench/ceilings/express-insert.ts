// Ceiling: Express 5, Joi and `pg`: the caller by API key, then one INSERT, each a prepared statement.
import { createServer } from 'node:http';
import express from 'express';
import { INSERT, readMessage, rowOf } from './messages';
import { serve } from './serve';
import { findCaller, pool } from './statements';

const app = express();
app.post('/api/statistics/messages', express.json(), async (request, response) => {
  const caller = await findCaller(request.get('x-api-key'));
  const message = readMessage(request.body);
  if (!caller?.admin) return void response.sendStatus(401);
  if (!message) return void response.sendStatus(422);
  await pool.query({ name: 'insert', text: `${INSERT} VALUES ($1, $2, $3, $4, $5, $6, now(), now())`, values: rowOf(message) });
  response.json({});
});
serve(createServer(app));
