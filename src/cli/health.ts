// The image's health check: asks /health/live of the `web` beside it. Exit 0: it answers; 1: it does not, with the reason. Reads the
// environment, not the table of settings: it runs every few seconds and has to be cheap.
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { environment } from '../../config/environment';

const DEFAULT_PORT = 8000;
const ANSWER_TIMEOUT_MS = 3000;
/** Listening on every address means on this one, too. */
const EVERY_ADDRESS = new Set([undefined, '0.0.0.0', '::']);

const { HOST: host, PORT: port = DEFAULT_PORT, TLS_CERT_FILE: certFile } = environment;

function end(failure?: string): never {
  if (failure !== undefined) process.stderr.write(`${failure}\n`);
  process.exit(failure === undefined ? 0 : 1);
}

const options = {
  host: EVERY_ADDRESS.has(host) ? '127.0.0.1' : host,
  port,
  path: '/health/live',
  timeout: ANSWER_TIMEOUT_MS,
  // The certificate names the public host; nothing secret is sent.
  rejectUnauthorized: false,
};
const request = certFile === undefined ? requestHttp(options) : requestHttps(options);
request.on('response', ({ statusCode }) => end(statusCode === 200 ? undefined : `status ${statusCode}`));
request.on('timeout', () => end(`no answer within ${ANSWER_TIMEOUT_MS} ms`));
request.on('error', (error) => end(error.message));
request.end();
