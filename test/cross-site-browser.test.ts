// Takeover by cookie, in a real browser with real origins: another port of the host, a sibling subdomain, another site, a link. What each place
// says of itself is Chromium's own doing; the table of all of them is in cross-site.test.ts.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { BrowserContext, Page } from 'playwright-core';
import { findBrowser, openBrowser } from './helpers/browser';
import { eventually, SPACE, startSystem, type Account, type System } from './helpers/system';

const executable = findBrowser();
const withBrowser = executable === undefined ? describe.skip : describe;

withBrowser('a page of somebody else', () => {
  let system: System;
  let elsewhere: Server;
  let victim: Account;
  let other: Account;
  let context: BrowserContext;
  let page: Page;
  let serial = 0;
  const portOf = (): string => new URL(system.urls[0] ?? '').port;
  /** Chromium says less to http, and 127.0.0.1 is as good as https to it. */
  const api = (host: string): string => `http://${host}:${portOf()}`;
  const evil = (host: string): string => `http://${host}:${(elsewhere.address() as AddressInfo).port}`;

  beforeAll(async () => {
    system = await startSystem({ workers: 0 });
    elsewhere = createServer((_request, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Elsewhere</h1>'));
    await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve));
  });
  afterAll(async () => {
    elsewhere.close();
    await system.stop();
  });
  beforeEach(async () => {
    victim = await system.account(`victim-${(serial += 1)}`, { admin: true });
    other = await system.account(`other-${serial}`);
    const hosts = '--host-resolver-rules=MAP *.test 127.0.0.1';
    context = await openBrowser(executable ?? '', 'en-GB', [hosts, '--disable-features=HttpsUpgrades']);
    page = await context.newPage();
  });
  afterEach(() => context.close());

  /** Signed in to the pages, and with the cookie of API clients. */
  async function signIn(host: string): Promise<void> {
    await page.goto(`${api(host)}/statistics`);
    await page.getByLabel('API key').fill(victim.key);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('status').getByText('some seconds old').waitFor();
  }
  const addApiCookie = (host: string): Promise<void> =>
    context.addCookies([{ name: 'x-api-key', value: victim.key, domain: host, path: '/', httpOnly: true, sameSite: 'Lax' }]);
  const isBlocked = async (): Promise<unknown> =>
    (await system.rows('SELECT blocked FROM accounts WHERE id = $1', [other.id]))[0]?.['blocked'];
  const newAdmin = (): Record<string, unknown> => ({
    username: `attacker-${serial}`,
    domain: SPACE,
    password: 'password',
    algorithm: 'SHA-256',
    admin: true,
    activated: true,
  });
  const attackers = (): Promise<object[]> => system.rows('SELECT 1 FROM accounts WHERE username = $1', [`attacker-${serial}`]);

  /** What `web` logged of POST /accounts. */
  const posted = (): { status: number }[] =>
    [...(system.webs[0]?.output() ?? '').matchAll(/^.*"method":"POST","route":"\/accounts",.*$/gm)].map(
      ([line]) => JSON.parse(line) as { status: number },
    );
  /** fetch() that needs no leave of the server, from where the page is. @returns the status, which the page itself is not shown */
  async function fetchBlindly(url: string, body: string): Promise<number | undefined> {
    const before = posted().length;
    // The answer is kept from the page (Cross-Origin-Resource-Policy): the request was made all the same.
    await page.evaluate(
      `fetch(${JSON.stringify(url)}, { method: 'POST', mode: 'no-cors', credentials: 'include', body: new Blob([${JSON.stringify(body)}]) }).catch(() => 0)`,
    );
    return (
      await eventually(
        () => Promise.resolve(posted()),
        ({ length }) => length > before,
      )
    ).at(-1)?.status;
  }
  async function submitForm(url: string): Promise<number> {
    const answered = page.waitForResponse(url);
    await page.setContent(`<form method="post" action="${url}"><button>Win a car</button></form>`);
    await page.getByRole('button').click();
    return (await answered).status();
  }
  async function followLink(url: string): Promise<number> {
    const answered = page.waitForResponse(url);
    await page.setContent(`<a href="${url}">Win a car</a>`);
    await page.getByRole('link').click();
    return (await answered).status();
  }

  const PLACES: [place: string, host: string, from: string][] = [
    ['another port of the host', '127.0.0.1', '127.0.0.1'],
    ['a sibling subdomain', 'api.attacked.test', 'blog.attacked.test'],
    ['the domain above', 'api.attacked.test', 'attacked.test'],
    ['a sibling subdomain that is as good as TLS', 'api.attacked.localhost', 'blog.attacked.localhost'],
  ];
  describe.each(PLACES)('on %s', (_place, host, from) => {
    test.each(['the cookie of the pages', 'the cookie of API clients'])('makes no admin and blocks nobody with %s', async (cookie) => {
      if (cookie === 'the cookie of the pages') await signIn(host);
      else await addApiCookie(host);
      // It is the place that is refused, not the request: with the key as a header it is carried out.
      await page.goto(evil(from));
      const refused = cookie === 'the cookie of the pages' ? 401 : 403;
      expect(await fetchBlindly(`${api(host)}/api/accounts`, JSON.stringify(newAdmin()))).toBe(refused);
      expect(await attackers()).toEqual([]);
      expect(await submitForm(`${api(host)}/api/accounts/${other.id}/block`)).toBe(refused);
      expect(await isBlocked()).toBe(false);
      expect((await system.api('/accounts', { method: 'POST', key: victim.key, body: newAdmin() })).status).toBe(200);
      expect(await attackers()).toHaveLength(1);
    });
  });

  test.each([
    ['another site', '127.0.0.1', 'evil.test'],
    ['another site, without TLS', 'api.attacked.test', 'evil.test'],
    ['a sibling subdomain', 'api.attacked.test', 'blog.attacked.test'],
    ['another port', '127.0.0.1', '127.0.0.1'],
    ['nowhere: a mail program', '127.0.0.1', ''],
  ])('no link gives an account away: from %s', async (_place, host, from) => {
    await signIn(host);
    await addApiCookie(host);
    const { token } = (await system.api('/accounts/auth_token', { method: 'POST' })).json as { token: string };
    const url = `${api(host)}/api/accounts/auth_token/${token}/attach`;
    if (from === '') expect((await page.goto(url))?.status()).toBe(403);
    else {
      await page.goto(evil(from));
      expect(await followLink(url)).toBe(403);
    }
    expect(await system.rows('SELECT account_id FROM auth_tokens WHERE token = $1', [token])).toEqual([{ account_id: null }]);
    expect((await system.api(`/accounts/me/api_key/${token}`)).status).toBe(404);
  });

  test('a link signs nobody in to an account of somebody else', async () => {
    const { token } = (await system.api('/accounts/auth_token', { method: 'POST' })).json as { token: string };
    await system.api(`/accounts/auth_token/${token}/attach`, { key: other.key });
    await page.goto(evil('evil.test'));
    expect(await followLink(`${api('127.0.0.1')}/api/accounts/me/api_key/${token}`)).toBe(200);
    expect(await context.cookies(api('127.0.0.1'))).toEqual([]);
  });

  test('a page of the server itself acts by the cookie of API clients', async () => {
    await addApiCookie('127.0.0.1');
    await page.goto(`${api('127.0.0.1')}/statistics`);
    const path = `/api/accounts/${other.id}/block`;
    expect(await page.evaluate(`fetch('${path}', { method: 'POST' }).then(({ status }) => status)`)).toBe(200);
    expect(await isBlocked()).toBe(true);
    expect(await page.evaluate(`fetch('/api/accounts/me/provision').then(({ status }) => status)`)).toBe(200);
  });
});
