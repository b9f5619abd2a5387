// bin/flexiapi flexisip:check: what it says of keys that do not work, and of those that work for now.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createSecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import { said, startFlexisipSystem, type Checked, type FlexisipSystem } from './helpers/flexisip';
import type { System } from './helpers/system';

const run = promisify(execFile);
let flexisip: FlexisipSystem;
let system: System;
let confFile: string;
let url: string;
let key: string;

const check = (parameters: string[], environment: Record<string, string> = {}): Promise<Checked> => flexisip.check(parameters, environment);

beforeAll(async () => {
  flexisip = await startFlexisipSystem();
  ({ system, url } = flexisip);
  confFile = path.join(flexisip.directory, 'flexisip.conf');
  key = (await flexisip.config(['--write', confFile])).key.api_key ?? '';
});
afterAll(() => flexisip.stop());

const keyed = (text: string): Promise<Checked> => check(['--config', confFile, '--key', text]);
const made = async (body: Record<string, unknown>, by = flexisip.admin): Promise<string> => {
  const answer = await run('curl', [
    '-sk',
    `${url}/api/api_keys`,
    '-H',
    `x-api-key: ${by.key}`,
    '-H',
    'content-type: application/json',
    '-d',
    JSON.stringify({ name: randomBytes(4).toString('hex'), ...body }),
  ]);
  return String((JSON.parse(answer.stdout) as { api_key?: string }).api_key);
};

test('unknown, cut off, a person’s, expired: 401, asked once alone', async () => {
  const unknown = await keyed(`flexiapi_${'a'.repeat(46)}`);
  expect(said(unknown, 'key: a message')).toMatch(/^wrong: status 401.*not whole/);
  expect(unknown.steps.filter(({ step, verdict }) => step.startsWith('key') && verdict === 'skipped')).toHaveLength(5);
  expect(said(await keyed('not-a-key'), 'key: a message')).toMatch(/^wrong: status 401.*key of a person/);
  const soon = await made({ scopes: ['statistics:write', 'spaces:read'], expires_at: new Date(Date.now() + 3_600_000).toISOString() });
  await system.rows("UPDATE named_api_keys SET expires_at = now() - interval '1 minute' WHERE expires_at IS NOT NULL");
  expect(said(await keyed(soon), 'key: a message')).toMatch(/^wrong: status 401: .*expired.*api-keys/);
  const elsewhere = await made({ scopes: ['statistics:write', 'spaces:read'], allowed_addresses: ['192.0.2.0/24'] });
  expect(said(await keyed(elsewhere), 'key: a message')).toMatch(/^wrong: status 401.*from this address/);
});

test('one that works, and will not for good, or may do too much', async () => {
  const itself = async (text: string): Promise<string> => {
    const found = await keyed(text);
    expect(said(found, 'key: a message')).toMatch(/^ok/);
    return said(found, 'key: itself');
  };
  expect(await itself(flexisip.admin.key)).toMatch(/^wrong: is no key of a machine.*unused for an hour.*--rotate/);
  const scopes = ['statistics:write', 'spaces:read'];
  expect(await itself(await made({ scopes, expires_at: '2099-01-02T03:04:05Z' }))).toMatch(/^warning: has an end.*2099-01-02T03:04:05Z/);
  expect(await itself(await made({ scopes, expires_after_last_used_minutes: 60 }))).toMatch(/^warning: has an end.*unused for 60 min/);
  expect(await itself(await made({ scopes: ['*'] }))).toMatch(/^warning: may do more than Flexisip needs: \*/);
  expect(await itself(await made({ scopes: [...scopes, 'accounts:read'] }))).toMatch(/^warning: may do more.*: accounts:read/);
  const before = await flexisip.config(['--name', 'replaced']);
  await flexisip.config(['--name', 'replaced', '--rotate', '--grace-minutes', '60']);
  expect(await itself(before.key.api_key ?? '')).toMatch(
    /^warning: is an older secret: replaced was rotated, and this one ends at 20.*restart/,
  );
  // The form alone, where there is no database.
  const alone = { DATABASE_URL: '', REDIS_URL: '', FLEXISIP_REDIS_URL: '', APP_URL: '' };
  expect(said(await check(['--url', url, '--key', flexisip.admin.key], alone), 'key: itself')).toMatch(/^wrong/);
  expect(said(await check(['--url', url, '--key', key], alone), 'key: itself')).toMatch(/^none/);
});

test('a server in trouble is told apart, and asked once', async () => {
  for (const [status, hint] of [
    [503, /^wrong: status 503: no → .*\/health\/ready/],
    [502, /^wrong: status 502: no → the proxy/],
  ] as const) {
    const ill = createSecureServer({ key: flexisip.certificate.key, cert: flexisip.certificate.cert });
    let asked = 0;
    ill.on('stream', (stream) => {
      asked += 1;
      stream.respond({ ':status': status });
      stream.end('{"message":"no"}');
    });
    await new Promise<void>((resolve) => ill.listen(0, 'localhost', resolve));
    const found = await check(['--url', `https://localhost:${(ill.address() as AddressInfo).port}`, '--key', key]);
    ill.close();
    expect(said(found, 'key: a message')).toMatch(hint);
    expect([asked, found.steps.filter(({ found: what }) => what === 'the server could not work before').length]).toEqual([1, 5]);
  }
});

test('without a scope, or of an admin who is no super admin: 403, which names what is missing', async () => {
  const half = await keyed(await made({ scopes: ['statistics:write'] }));
  expect([said(half, 'key: a message'), said(half, 'key: the domains')]).toEqual([
    expect.stringMatching(/^ok/) as string,
    expect.stringMatching(/^wrong: status 403.*spaces:read/) as string,
  ]);
  expect(said(await keyed(await made({ scopes: ['spaces:read'] })), 'key: a message')).toMatch(/^wrong: status 403.*statistics:write/);
  await system.space('small.example.org');
  const small = await system.account('admin-there', { domain: 'small.example.org', admin: true });
  expect(said(await keyed(await made({ scopes: ['statistics:write', 'spaces:read'] }, small)), 'key: the domains')).toMatch(
    /^wrong: status 403.*super admin/,
  );
  await system.rows("DELETE FROM accounts WHERE domain = 'small.example.org'");
  await system.rows("DELETE FROM spaces WHERE domain = 'small.example.org'");
});
