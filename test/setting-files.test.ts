// Files that settings name: what is said of those that cannot be used, and to which process.
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { generate } from 'selfsigned';
import { checkFiles } from '../config/files';
import { readSettings } from '../config/settings';

const directory = mkdtempSync(path.join(tmpdir(), 'flexiapi-files-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });

const file = (name: string, content: string): string => {
  const full = path.join(directory, name);
  writeFileSync(full, content);
  return full;
};
const pem = (key: KeyObject, type: 'pkcs8' | 'spki' = 'pkcs8'): string => String(key.export({ type, format: 'pem' }));
const certificate = async (days: [from: number, to: number] = [-1, 1]): Promise<{ cert: string; private: string }> => {
  const at = (day: number): Date => new Date(Date.now() + day * 86_400_000);
  return generate([{ name: 'commonName', value: 'localhost' }], {
    keySize: 2048,
    algorithm: 'sha256',
    notBeforeDate: at(days[0]),
    notAfterDate: at(days[1]),
  });
};
const look = (environment: Record<string, string>, role: 'web' | 'worker'): { faults: string[]; warnings: string[] } =>
  checkFiles(readSettings(environment).values, [role]);
const folder = path.join(directory, 'folder');
mkdirSync(folder);
const good = file('ec.p8', pem(ec.privateKey));
const rsaKey = file('rsa.pem', pem(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey));
const account = (name: string, values: Record<string, unknown>): string =>
  file(
    name,
    JSON.stringify({
      type: 'service_account',
      project_id: 'one',
      client_email: 'a@one.iam.gserviceaccount.com',
      private_key: readFileSync(rsaKey, 'utf8'),
      ...values,
    }),
  );

test.each([
  ['', 'ACCOUNT_PROVISIONING_RC_FILE', 'web'],
  ['one:', 'FIREBASE_SERVICE_ACCOUNTS', 'worker'],
  ['', 'APNS_KEY_FILE', 'worker'],
] as const)('%s%s cannot be read', (before, name, role) => {
  const secretFile = file('unreadable', 'x');
  chmodSync(secretFile, 0);
  for (const [wrong, reason] of [
    ['/nowhere/x', 'there is no such file'],
    [folder, 'it is a directory'],
    ...(process.getuid?.() === 0 ? [] : [[secretFile, 'this process may not read it']]),
  ] as const)
    expect(look({ [name]: before + wrong }, role).faults).toEqual([`${name}=${before}${wrong}: cannot be read: ${reason}`]);
  chmodSync(secretFile, 0o600);
  // It is the other process's.
  expect(look({ [name]: `${before}/nowhere/x` }, role === 'web' ? 'worker' : 'web').faults).toEqual([]);
});

test('keys of Apple', () => {
  const faultOf = (content: string): string | undefined =>
    look({ APNS_KEY_FILE: file('k.p8', content), APNS_KEY_ID: 'ABCDE12345', APNS_TEAM_ID: 'ABCDE12345' }, 'worker').faults[0]?.replace(
      /^[^:]*: /,
      '',
    );
  expect(faultOf(pem(ec.privateKey))).toBeUndefined();
  for (const content of ['', 'x', pem(ec.publicKey, 'spki'), pem(ec.privateKey).slice(0, 80)])
    expect(faultOf(content)).toBe('must hold a private key in PEM, without a passphrase');
  expect(faultOf(String(ec.privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })))).toBe(
    'must hold a private key in PEM, without a passphrase',
  );
  for (const content of [readFileSync(rsaKey, 'utf8'), pem(generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey)])
    expect(faultOf(content)).toBe('must hold an EC key of the curve P-256, as the .p8 files of Apple do');
  expect(look({ APNS_KEY_FILE: '/nowhere', WORKER_QUEUES: 'sms' }, 'worker').faults).toEqual([]);
});

test('service accounts of Firebase', () => {
  const faultOf = (name: string, project = 'one'): string | undefined =>
    look({ FIREBASE_SERVICE_ACCOUNTS: `${project}:${path.join(directory, name)}` }, 'worker').faults[0]?.replace(/^[^:]*:[^:]*: /, '');
  account('good.json', {});
  expect([faultOf('good.json'), faultOf('good.json', '929724111839')]).toEqual([undefined, undefined]);
  expect(faultOf('good.json', 'two')).toBe('is the service account of the project one');
  for (const content of ['', 'x', '[', 'null', '"a"']) {
    file('bad.json', content);
    expect(faultOf('bad.json')).toBe('must hold the JSON of a service account');
  }
  for (const missing of ['project_id', 'client_email', 'private_key'])
    for (const nothing of [undefined, '', 1]) {
      account('bad.json', { [missing]: nothing });
      expect(faultOf('bad.json')).toBe(`must hold the JSON of a service account: its ${missing} is missing`);
    }
  account('bad.json', { private_key: 'x' });
  expect(faultOf('bad.json')).toBe('must hold a private key in PEM, without a passphrase');
  account('bad.json', { private_key: pem(ec.privateKey) });
  expect(faultOf('bad.json')).toBe('has a private_key that is no RSA key');
});

test.each([
  ['TLS_CERT_FILE', 'TLS_KEY_FILE', 'web'],
  ['APNS_CERT_FILE', 'APNS_CERT_KEY_FILE', 'worker'],
] as const)('%s and %s', async (certName, keyName, role) => {
  const made = await certificate();
  const [cert, key] = [file('cert.pem', made.cert), file('key.pem', made.private)];
  const found = (certFile: string, keyFile: string): ReturnType<typeof look> => look({ [certName]: certFile, [keyName]: keyFile }, role);
  expect(found(cert, key)).toMatchObject({ faults: [], warnings: [] });
  expect(found(cert, rsaKey).faults).toEqual([`${keyName}=${rsaKey}: is not the key of the certificate in ${certName}`]);
  expect(found(key, cert).faults).toEqual([
    `${certName}=${key}: must hold a certificate in PEM, with its chain behind it`,
    `${keyName}=${cert}: must hold a private key in PEM, without a passphrase`,
  ]);
  expect(found('/nowhere/a', folder).faults).toEqual([
    `${certName}=/nowhere/a: cannot be read: there is no such file`,
    `${keyName}=${folder}: cannot be read: it is a directory`,
  ]);
  const broken = file('chain.pem', `${made.cert}\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`);
  expect(found(broken, key).faults).toEqual([expect.stringMatching(new RegExp(`^${certName}=${broken}: cannot be used for TLS: `))]);
  // Renewing it is under way, perhaps: no reason to be away as well.
  const old = await certificate([-3, -1]);
  expect(found(file('old.pem', old.cert), file('old-key.pem', old.private))).toMatchObject({
    faults: [],
    warnings: [expect.stringMatching(new RegExp(`^${certName}=.*old\\.pem: the certificate expired on `))],
  });
  const early = await certificate([1, 3]);
  expect(found(file('early.pem', early.cert), file('early-key.pem', early.private)).warnings).toEqual([
    expect.stringContaining('is not valid before'),
  ]);
});

test('what a database’s address names', () => {
  for (const name of ['DATABASE_URL', 'DATABASE_READ_URL'])
    for (const parameter of ['sslrootcert', 'sslcert', 'sslkey'])
      expect(checkFiles(readSettings({ [name]: `postgres://h/d?${parameter}=/nowhere/ca.pem` }).values, []).faults).toEqual([
        `${name}=(hidden): its ${parameter}: cannot be read: there is no such file`,
      ]);
  expect(checkFiles(readSettings({ DATABASE_READ_URL: `postgres://h/d?sslrootcert=${good}` }).values, []).faults).toEqual([]);
});
