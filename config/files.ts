// The files that settings name: whether they can be used, looked at when a process starts that will need them.
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { checkDatabaseUrl } from './database-url';
import { refuse, Refused } from './refused';
import type { Settings } from './settings';

/** A process that needs files. */
export type Role = 'web' | 'worker';

/** What is right of the settings. */
type Values = Partial<Settings>;

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'this process may not read it',
  EISDIR: 'it is a directory',
};

/** @throws {Refused} */
function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    return refuse(`cannot be read: ${REASONS[code] ?? code}`);
  }
}

/** @throws {Refused} */
function privateKeyOf(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    return refuse('must hold a private key in PEM, without a passphrase');
  }
}

/** The first one of the file, whose key is at hand; those of the authorities follow. @throws {Refused} */
function certificateOf(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch {
    return refuse('must hold a certificate in PEM, with its chain behind it');
  }
}

/** Looks at what settings name, and collects what is wrong of it. */
class Findings {
  readonly faults: string[] = [];
  readonly warnings: string[] = [];

  /** @param shown the setting with the value, as a line names it @returns undefined where it was refused */
  look<T>(shown: string, work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.faults.push(`${shown}: ${error.message}`);
      return undefined;
    }
  }

  /** A certificate and its key. */
  pair(certName: string, certFile: string, keyName: string, keyFile: string): void {
    const pem = this.look(`${certName}=${certFile}`, () => {
      const text = read(certFile);
      certificateOf(text);
      return text;
    });
    const keyPem = this.look(`${keyName}=${keyFile}`, () => {
      const text = read(keyFile);
      privateKeyOf(text);
      return text;
    });
    if (pem === undefined) return;
    const certificate = certificateOf(pem);
    const now = Date.now();
    if (Date.parse(certificate.validTo) < now)
      this.warnings.push(`${certName}=${certFile}: the certificate expired on ${certificate.validTo}`);
    if (Date.parse(certificate.validFrom) > now)
      this.warnings.push(`${certName}=${certFile}: the certificate is not valid before ${certificate.validFrom}`);
    if (keyPem === undefined) return;
    this.look(`${keyName}=${keyFile}`, () => {
      if (!certificate.checkPrivateKey(privateKeyOf(keyPem))) refuse(`is not the key of the certificate in ${certName}`);
    });
    this.look(`${certName}=${certFile}`, () => {
      try {
        createSecureContext({ cert: pem, key: keyPem });
      } catch (error) {
        // Such as a chain that is cut off, or a key too small for this machine's OpenSSL.
        const { reason, code } = error as { reason?: string; code?: string };
        if (code !== 'ERR_OSSL_X509_KEY_VALUES_MISMATCH') refuse(`cannot be used for TLS: ${reason ?? code}`);
      }
    });
  }

  /** Apple signs with ES256 alone: https://developer.apple.com/documentation/usernotifications/establishing-a-token-based-connection-to-apns */
  appleKey(file: string): void {
    this.look(`APNS_KEY_FILE=${file}`, () => {
      // Keys of other kinds have no curve.
      if (privateKeyOf(read(file)).asymmetricKeyDetails?.namedCurve !== 'prime256v1')
        refuse('must hold an EC key of the curve P-256, as the .p8 files of Apple do');
    });
  }

  serviceAccount(project: string, file: string): void {
    this.look(`FIREBASE_SERVICE_ACCOUNTS=${project}:${file}`, () => {
      let account: unknown;
      try {
        account = JSON.parse(read(file));
      } catch (error) {
        if (error instanceof Refused) throw error;
      }
      if (typeof account !== 'object' || account === null) return refuse('must hold the JSON of a service account');
      const { project_id: id, client_email: email, private_key: key } = account as Record<string, unknown>;
      for (const [name, value] of Object.entries({ project_id: id, client_email: email, private_key: key }))
        if (typeof value !== 'string' || value === '') refuse(`must hold the JSON of a service account: its ${name} is missing`);
      // A project may be named by its number, too.
      if (id !== project && !/^\d+$/.test(project)) refuse(`is the service account of the project ${String(id)}`);
      if (privateKeyOf(String(key)).asymmetricKeyType !== 'rsa') refuse('has a private_key that is no RSA key');
      return undefined;
    });
  }
}

/**
 * Looks at the files that a process needs.
 *
 * @returns a line for each that cannot be used, and for each that will soon do harm
 */
export function checkFiles(settings: Values, roles: readonly Role[]): { faults: string[]; warnings: string[] } {
  const findings = new Findings();
  for (const name of ['DATABASE_URL', 'DATABASE_READ_URL'] as const) {
    const url = settings[name];
    for (const { parameter, file } of url === undefined ? [] : checkDatabaseUrl(url))
      findings.look(`${name}=(hidden): its ${parameter}`, () => read(file));
  }
  if (roles.includes('web')) {
    const { TLS_CERT_FILE: cert, TLS_KEY_FILE: key, ACCOUNT_PROVISIONING_RC_FILE: rc } = settings;
    if (cert !== undefined && key !== undefined) findings.pair('TLS_CERT_FILE', cert, 'TLS_KEY_FILE', key);
    if (rc !== undefined) findings.look(`ACCOUNT_PROVISIONING_RC_FILE=${rc}`, () => read(rc));
  }
  if (roles.includes('worker') && settings.WORKER_QUEUES?.includes('push')) {
    const { APNS_KEY_FILE: apple, APNS_CERT_FILE: cert, APNS_CERT_KEY_FILE: key, FIREBASE_SERVICE_ACCOUNTS: accounts = [] } = settings;
    if (apple !== undefined) findings.appleKey(apple);
    if (cert !== undefined && key !== undefined) findings.pair('APNS_CERT_FILE', cert, 'APNS_CERT_KEY_FILE', key);
    for (const { project, file } of accounts) findings.serviceAccount(project, file);
  }
  return findings;
}
