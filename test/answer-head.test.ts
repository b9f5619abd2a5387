// The head of an answer goes out in one call, whatever found out what belongs into it.
import { connect } from 'node:net';
import { startSystem, SPACE, type System } from './helpers/system';

const REALM = 'Réalm';
let system: System;
beforeAll(async () => {
  system = await startSystem({ workers: 0, environment: { ACCOUNT_REALM: REALM, RATE_LIMIT_PER_MINUTE: '100' } });
  await system.account('alice');
  await system.rows(`INSERT INTO passwords (account_id, password, algorithm) SELECT id, $1, 'SHA-256' FROM accounts`, ['0'.repeat(64)]);
});
afterAll(() => system.stop());

/** The octets of an answer, each as one character. */
function ask(lines: string[]): Promise<string> {
  const { port } = new URL(system.url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), '127.0.0.1');
    let received = '';
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => (received += chunk));
    socket.once('end', () => resolve(received));
    socket.once('error', reject);
    socket.write([...lines, 'connection: close', '', ''].join('\r\n'), 'latin1');
  });
}

test('octets of a header and a text beyond ASCII are both what they were', async () => {
  const received = await ask(['GET /api/accounts/me HTTP/1.1', `host: ${SPACE}`, `from: sip:alice@${SPACE}`, 'accept-language: fr']);
  const [head = '', body = ''] = received.split('\r\n\r\n');
  const utf8 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
  expect(head).toContain(`Digest realm="${utf8(REALM)}"`);
  expect(head).toContain(`content-length: ${body.length}`);
  const { message } = JSON.parse(Buffer.from(body, 'latin1').toString('utf8')) as { message: string };
  expect(message).toMatch(/[éè]/);
});

test('each name stands in it once, and what is said last counts', async () => {
  const received = await ask(['GET /api/accounts/me HTTP/1.1', `host: ${SPACE}`, 'x-api-key: wrong', 'x-request-id: mine']);
  const names = received
    .split('\r\n\r\n', 1)[0]
    ?.split('\r\n')
    .slice(1)
    .map((line) => (line.split(':', 1)[0] ?? '').toLowerCase());
  expect(names).toEqual([...new Set(names)]);
  expect(names).toEqual(expect.arrayContaining(['content-security-policy', 'x-request-id', 'ratelimit-remaining', 'cache-control']));
  expect(received).toContain('x-request-id: mine\r\n');
});

test('a page has its own policy instead of the one that all answers have', async () => {
  for (const path of ['/api', '/statistics', '/creation_token/check/0123456789abc']) {
    const { headers } = await fetch(system.url + path, { headers: { accept: 'text/html' } });
    expect([path, headers.get('content-security-policy')]).toEqual([path, expect.stringContaining("style-src 'self'")]);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('x-request-id')).not.toBeNull();
  }
});
