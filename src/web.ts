// The process `web`: the API. Stateless; any number of them may run.
import { createServer } from 'node:http';
import { settings } from '../config';
import { createApp } from './app';
import { closeDatabase } from './database';
import { log } from './log';
import { closeQueues, openQueues } from './queues';
import { flushUses } from './services/api-keys';
import { closeRegistrar } from './services/devices';
import { statisticsIdle } from './services/statistics';
import { dieOnUncaught, onShutdown } from './shutdown';

dieOnUncaught();
openQueues();

const server = createServer(createApp());
// Longer than a client (50 s) or a balancer keeps an idle connection: who closes first loses no request.
server.keepAliveTimeout = 75_000;
server.headersTimeout = 80_000;

const IDLE_LOOK_MS = 50;
let stopping = false;
server.prependListener('request', (_request, response) => {
  if (stopping) response.setHeader('connection', 'close');
});
server.on('error', (error: NodeJS.ErrnoException) => {
  const reason =
    error.code === 'EADDRINUSE' ? `PORT ${settings.PORT} of ${settings.HOST} is in use: stop what uses it, or set PORT` : error.message;
  process.stderr.write(`${reason}\n`);
  process.exit(1);
});
server.listen(settings.PORT, settings.HOST, () => {
  log.info({ host: settings.HOST, port: settings.PORT }, 'web listens');
  process.send?.('ready');
});

onShutdown(settings.SHUTDOWN_GRACE_SECONDS, [
  [
    'http',
    () =>
      new Promise<void>((resolve) => {
        stopping = true;
        // A connection whose last answer was under way at close() stays open until it is idle: look again until none is left.
        const idle = setInterval(() => server.closeIdleConnections(), IDLE_LOOK_MS);
        server.close(() => {
          clearInterval(idle);
          resolve();
        });
      }),
  ],
  ['statistics', statisticsIdle],
  ['api keys', flushUses],
  ['registrar', closeRegistrar],
  ['queues', closeQueues],
  ['database', closeDatabase],
]);
