// Ceiling: node:http alone.
import { createServer } from 'node:http';
import { serve } from './serve';

serve(
  createServer((_request, response) => {
    response.setHeader('content-type', 'text/plain; charset=utf-8');
    response.end('pong');
  }),
);
