// Ceiling: Express 5 alone, with its default settings and one route.
import { createServer } from 'node:http';
import express from 'express';
import { serve } from './serve';

const app = express();
app.get('/api/ping', (_request, response) => void response.send('pong'));
serve(createServer(app));
