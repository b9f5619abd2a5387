// hCaptcha's answer about a person.
import { settings } from '../../../config';

const SITEVERIFY = 'https://api.hcaptcha.com/siteverify';
const TIME_LIMIT = 4000;

export const isHcaptchaOn = (): boolean => settings.HCAPTCHA_SECRET !== undefined && settings.HCAPTCHA_SITEKEY !== undefined;

/** @returns whether hCaptcha took the response @throws where it cannot be reached in 4 s */
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
        signal: AbortSignal.timeout(TIME_LIMIT),
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
