// hCaptcha's answer about a person (https://docs.hcaptcha.com/).
import { settings } from '../../../config';

const SITEVERIFY = 'https://api.hcaptcha.com/siteverify';
const TIMEOUT_MS = 4000;

/** Whether HCAPTCHA_SECRET and HCAPTCHA_SITEKEY are set. */
export const isHcaptchaOn = (): boolean => settings.HCAPTCHA_SECRET !== undefined && settings.HCAPTCHA_SITEKEY !== undefined;

/**
 * Asks hCaptcha whether a person solved its task.
 *
 * @param response what the page's form brought
 * @param ip the person's address
 * @throws where hCaptcha does not answer with 200 within 4 s
 */
export async function verifyHcaptcha(response: string, ip: string): Promise<boolean> {
  const { request } = await import('node:https');
  const { HttpsProxyAgent } = await import('https-proxy-agent');
  const body = new URLSearchParams({ secret: settings.HCAPTCHA_SECRET ?? '', response, remoteip: ip }).toString();
  const agent = settings.HTTPS_PROXY === undefined ? undefined : new HttpsProxyAgent(settings.HTTPS_PROXY);
  const text = await new Promise<string>((resolve, reject) => {
    const asked = request(
      SITEVERIFY,
      {
        method: 'POST',
        agent,
        signal: AbortSignal.timeout(TIMEOUT_MS),
        headers: { 'content-type': 'application/x-www-form-urlencoded', 'content-length': Buffer.byteLength(body) },
      },
      (answer) => {
        let received = '';
        answer.setEncoding('utf8');
        answer.on('data', (chunk: string) => (received += chunk));
        answer.on('end', () =>
          answer.statusCode === 200 ? resolve(received) : reject(new Error(`hCaptcha answered ${answer.statusCode}`)),
        );
        answer.on('error', reject);
      },
    );
    asked.on('error', reject);
    asked.end(body);
  });
  return (JSON.parse(text) as { success?: boolean }).success === true;
}
