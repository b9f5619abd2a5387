// Asking the `web` of this environment whether it answers: for the image's health check, and for `web` itself, which tells systemd. Reads the environment, not
// the table of settings: the health check runs every few seconds and has to be cheap.
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { environment } from '../../config/environment';

const DEFAULT_PORT = 8000;
const ANSWER_TIMEOUT_MS = 3000;
/** Listening on every address means on this one, too. */
const EVERY_ADDRESS = new Set([undefined, '0.0.0.0', '::']);

const { HOST: host, PORT: port = DEFAULT_PORT, TLS_CERT_FILE: certFile } = environment;

/** Asks /health/live. @throws where it is not answered with 200 within three seconds, with the reason */
export function askLive(): Promise<void> {
  return new Promise((resolve, reject) => {
    const options = {
      host: EVERY_ADDRESS.has(host) ? '127.0.0.1' : host,
      port,
      path: '/health/live',
      timeout: ANSWER_TIMEOUT_MS,
      // Of a connection of its own: whether new ones are accepted is what is asked.
      agent: false,
      // The certificate names the public host; nothing secret is sent.
      rejectUnauthorized: false,
    };
    const request = certFile === undefined ? requestHttp(options) : requestHttps(options);
    request.on('response', (response) => {
      response.resume();
      if (response.statusCode === 200) resolve();
      else reject(new Error(`status ${response.statusCode}`));
    });
    request.on('timeout', () => request.destroy(new Error(`no answer within ${ANSWER_TIMEOUT_MS} ms`)));
    request.on('error', reject);
    request.end();
  });
}
