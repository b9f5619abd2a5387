// Passwords and keys that are guessed beside DIGEST (digest.test.ts): `old_password`, and the sign-in of the pages.
import { hashPassword } from '../src/services/credentials/secrets';
import { request, SPACE, startSystem, type Answer, type System } from './helpers/system';

let system: System;
beforeAll(async () => {
  system = await startSystem({ webs: 2, workers: 0, environment: { TRUST_PROXY: '1' } });
});
afterAll(() => system.stop());

const from = (address: string): Record<string, string> => ({ 'x-forwarded-for': address });
const count = (answers: Answer[], status: number): number => answers.filter((answer) => answer.status === status).length;

describe('old_password', () => {
  async function owner(username: string): Promise<(old: string, address?: string) => Promise<Answer>> {
    const { id, key } = await system.account(username);
    const stored = hashPassword('SHA-256', username, SPACE, 'right word');
    await system.rows('INSERT INTO passwords (account_id, algorithm, password) VALUES ($1, $2, $3)', [id, 'SHA-256', stored]);
    return (old, address = '192.0.2.1') =>
      system.api('/accounts/me/password', {
        method: 'POST',
        key,
        headers: from(address),
        body: { algorithm: 'SHA-256', password: 'right word', old_password: old },
      });
  }

  test('of 60 wrong ones at once ten are looked at; then the right one is refused, too, from that address', async () => {
    const change = await owner('old-guesser');
    const guesses = await Promise.all(Array.from({ length: 60 }, (_, n) => change(`guess ${n}`)));
    expect([count(guesses, 422), count(guesses, 429)]).toEqual([10, 50]);
    const right = await change('right word');
    expect(right.status).toBe(429);
    expect(right.json['message']).toMatch(/^Too many wrong passwords\. Try again in \d+ seconds\.$/);
    expect(Number(right.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await change('right word', '192.0.2.2')).status).toBe(200);
  });

  test('right ones take no place, nor does a missing one', async () => {
    const change = await owner('old-changer');
    for (let n = 0; n < 12; n += 1) expect((await change('right word')).status).toBe(200);
    for (let n = 0; n < 12; n += 1) expect((await change('')).status).toBe(422);
    expect((await change('right word')).status).toBe(200);
  });
});

describe('the sign-in of the pages', () => {
  const signIn = (page: string, key: string, address: string): Promise<Answer> =>
    request(`${system.url}/${page}/sign-in`, {
      method: 'POST',
      body: new URLSearchParams({ api_key: key }).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...from(address) },
    });

  test('of 40 wrong keys at once, for both pages together, ten are looked at; then no key is', async () => {
    const { key } = await system.account('page-admin', { admin: true });
    const guesses = await Promise.all(
      Array.from({ length: 40 }, (_, n) => signIn(n % 2 === 0 ? 'queues' : 'statistics', `wrong ${n}`, '192.0.2.7')),
    );
    expect([count(guesses, 403), count(guesses, 429)]).toEqual([10, 30]);
    const right = await signIn('queues', key, '192.0.2.7');
    expect([right.status, right.headers.get('set-cookie')]).toEqual([429, null]);
    expect(Number(right.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await signIn('queues', key, '192.0.2.8')).status).toBe(303);
  });

  test('right keys take no place, also where they may not see the page', async () => {
    const { key } = await system.account('page-admin-2', { admin: true });
    const { key: user } = await system.account('page-user');
    for (let n = 0; n < 12; n += 1) expect((await signIn('statistics', key, '192.0.2.9')).status).toBe(303);
    for (let n = 0; n < 12; n += 1) expect((await signIn('statistics', user, '192.0.2.9')).status).toBe(403);
    expect((await signIn('statistics', key, '192.0.2.9')).status).toBe(303);
  });
});
