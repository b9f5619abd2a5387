// One certificate for all the outside hosts that the fakes stand in for; it is its own authority.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { generate } from 'selfsigned';

export const HOSTS = {
  apns: 'api.push.apple.com',
  apnsDev: 'api.sandbox.push.apple.com',
  fcm: 'fcm.googleapis.com',
  google: 'oauth2.googleapis.com',
  twilio: 'api.twilio.com',
  hcaptcha: 'api.hcaptcha.com',
} as const;

export interface Certificate {
  key: string;
  cert: string;
  /** For NODE_EXTRA_CA_CERTS. */
  file: string;
}

export async function makeCertificate(directory: string): Promise<Certificate> {
  const names = [...Object.values(HOSTS), 'localhost'].map((value) => ({ type: 2 as const, value }));
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'Fake outside world' }], {
    keySize: 2048,
    algorithm: 'sha256',
    extensions: [{ name: 'subjectAltName', altNames: names }],
  });
  const file = path.join(directory, 'outside.pem');
  writeFileSync(file, cert);
  return { key, cert, file };
}
