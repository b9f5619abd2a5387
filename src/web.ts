// The process `web`: the API. Stateless; any number of them may run.
import { settings } from '../config';
import { createApp } from './app';
import { withHttp2Support } from './http/http2';
import { closeDatabase } from './infra/database';
import { log } from './infra/log';
import { closeQueues, openQueues } from './queues/producer';
import { createListener, type Listener } from './http/server';
import { flushUses } from './services/credentials/api-keys';
import { closeRegistrar } from './services/devices/devices';
import { statisticsIdle } from './services/statistics/reports';
import { dieOnUncaught, onShutdown } from './infra/shutdown';

dieOnUncaught();

/** Ends a start that cannot go on; the reason says what to set. */
function die(reason: string): never {
  process.stderr.write(`${reason}\n`);
  process.exit(1);
}

/** The listener with the app behind it, over TLS where a certificate is set. */
function open(): Listener {
  const { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile, SHUTDOWN_GRACE_SECONDS: grace } = settings;
  const tls = certFile !== undefined && keyFile !== undefined ? { certFile, keyFile } : undefined;
  const handler = withHttp2Support(createApp());
  try {
    return createListener(handler, tls, grace);
  } catch (error) {
    return die(`TLS_CERT_FILE=${certFile} and TLS_KEY_FILE=${keyFile} cannot be used: ${error instanceof Error ? error.message : ''}`);
  }
}

// Whoever believes any address has no limit by address, and no key that is bound to one.
if (settings.TRUST_PROXY === true)
  log.warn(
    'TRUST_PROXY=true believes the X-Forwarded-For of anybody, so that clients choose their own address: set it to the number of proxies, or to their addresses',
  );

openQueues();
const { server, drain } = open();
server.on('error', (error: NodeJS.ErrnoException) =>
  die(error.code === 'EADDRINUSE' ? `PORT ${settings.PORT} of ${settings.HOST} is in use: stop what uses it, or set PORT` : error.message),
);
server.listen(settings.PORT, settings.HOST, () => {
  log.info({ host: settings.HOST, port: settings.PORT, tls: settings.TLS_CERT_FILE !== undefined }, 'web listens');
  process.send?.('ready');
});

onShutdown(settings.SHUTDOWN_GRACE_SECONDS, [
  ['http', drain],
  ['statistics', statisticsIdle],
  ['api keys', flushUses],
  ['registrar', closeRegistrar],
  ['queues', closeQueues],
  ['database', closeDatabase],
]);
