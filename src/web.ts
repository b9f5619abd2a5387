// The process `web`: the API. Stateless; any number of them may run.
import { setTimeout as sleep } from 'node:timers/promises';
import { settings, settingsWarnings } from '../config';
import { createApp } from './app';
import { withHttp2Support } from './http/http2';
import { closeDatabase, isDatabaseUnavailable } from './infra/database';
import { askLive } from './infra/liveness';
import { log, reasonOf } from './infra/log';
import { notifyReady } from './infra/service-manager';
import { isMigrated } from './migrations/state';
import { addPhoneCountries } from './models/accounts/phone-country';
import { closeQueues, openQueues } from './queues/producer';
import { createListener, type Listener } from './http/server';
import { flushApiKeyUses } from './services/credentials/api-keys';
import { flushNamedKeyUses } from './services/credentials/named-keys';
import { closeRegistrar } from './services/devices/devices';
import { watchAlerts } from './services/operations/alerts';
import { statisticsIdle } from './services/statistics/reports';
import { flushLedger } from './services/messaging/ledger';
import { dieOnUncaught, onShutdown } from './infra/shutdown';
import { startTracing, stopTracing } from './infra/tracing';

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
  return createListener(withHttp2Support(createApp()), tls, grace);
}

const COUNTRIES_PATIENCE_MS = 1000;
const COUNTRIES_RETRY_MS = 10_000;

/** An upgrade may bring countries and no migration; with one, that adds them. PostgreSQL may come later than this process. */
async function addNewCountries(): Promise<void> {
  try {
    const countries = (await isMigrated()) ? await addPhoneCountries() : [];
    if (countries.length > 0) log.info({ countries }, 'phone countries are new or have another calling code; new ones are not activated');
  } catch (error) {
    if (isDatabaseUnavailable(error)) setTimeout(() => void addNewCountries(), COUNTRIES_RETRY_MS).unref();
    else log.warn({ reason: reasonOf(error) }, 'new phone countries cannot be added');
  }
}

for (const warning of settingsWarnings) log.warn(warning);

const traced = startTracing('flexiapi-web');
openQueues();
let stopAlerts = (): Promise<void> => Promise.resolve();
const { server, retire, drain } = open();
server.on('error', (error: NodeJS.ErrnoException) =>
  die(error.code === 'EADDRINUSE' ? `PORT ${settings.PORT} of ${settings.HOST} is in use: stop what uses it, or set PORT` : error.message),
);
// Before the first request, so that none waits for it; a PostgreSQL that does not answer holds nobody up.
void Promise.all([traced, Promise.race([addNewCountries(), sleep(COUNTRIES_PATIENCE_MS)])]).then(() =>
  server.listen(settings.PORT, settings.HOST, () => {
    stopAlerts = watchAlerts(true);
    log.info({ host: settings.HOST, port: settings.PORT, tls: settings.TLS_CERT_FILE !== undefined }, 'web listens');
    process.send?.('ready');
    void notifyReady(askLive);
  }),
);

onShutdown(settings.SHUTDOWN_DELAY_SECONDS + settings.SHUTDOWN_GRACE_SECONDS, [
  ['balancers', () => retire(settings.SHUTDOWN_DELAY_SECONDS)],
  ['alerts', () => stopAlerts()],
  ['http', drain],
  ['ledger', flushLedger],
  ['statistics', statisticsIdle],
  ['api keys', flushApiKeyUses],
  ['named keys', flushNamedKeyUses],
  ['registrar', closeRegistrar],
  ['queues', closeQueues],
  ['database', closeDatabase],
  ['traces', stopTracing],
]);
