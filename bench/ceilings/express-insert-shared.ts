// Ceiling: as express-insert, but look-ups and INSERTs of one turn of the event loop share a statement.
import { createServer } from 'node:http';
import express from 'express';
import { store } from './insert-shared';
import { readMessage } from './messages';
import { serve } from './serve';
import { findCaller } from './shared-callers';
import { hashed } from './statements';

const app = express();
app.post('/api/statistics/messages', express.json(), async (request, response) => {
  const caller = await findCaller(hashed(request.get('x-api-key')));
  const message = readMessage(request.body);
  if (!caller?.admin) return void response.sendStatus(401);
  if (!message) return void response.sendStatus(422);
  await store(message);
  response.json({});
});
serve(createServer(app));
