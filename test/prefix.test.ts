// All pages behind a front that cuts a prefix off the path (APP_URL=https://host/flexiapi), by real HTTP and in a real browser: with TLS and without,
// with Host as it came and with X-Forwarded-Host; and the same pages without any front, whatever APP_URL says.
import { mkdtempSync, readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import path from 'node:path';
import type { BrowserContext, Page } from 'playwright-core';
import { findBrowser, openBrowser } from './helpers/browser';
import { Front, type FrontOptions } from './helpers/front';
import { makeCertificate } from './helpers/pki';
import { send, type RawAnswer } from './helpers/raw';
import { startSystem, type Account, type System } from './helpers/system';
import { testServers } from './setup/servers';

const PREFIX = '/flexiapi';
const executable = findBrowser();
const withBrowser = executable === undefined ? describe.skip : describe;

let system: System;
let superAdmin: Account;
const fronts: Front[] = [];

beforeAll(async () => {
  system = await startSystem({ webs: 0, environment: { TRUST_PROXY: '1' } });
  superAdmin = await system.account('prefix-super', { admin: true });
});
afterAll(async () => {
  await Promise.all(fronts.map((front) => front.close()));
  await system.stop();
});

/** A front with a `web` of its own behind it, and the address of that `web`. */
async function startBehind(options: FrontOptions): Promise<{ front: Front; direct: string }> {
  let direct = '';
  const front = await Front.start(() => direct, options);
  fronts.push(front);
  await system.startWeb({ APP_URL: front.url });
  direct = system.urls.at(-1) ?? '';
  return { front, direct };
}

/** Where the pages are opened, and what the cookie of the pages is there. */
interface Place {
  url: string;
  front?: Front;
  cookie: { name: string; path: string; secure: boolean };
}
const PLACES: Record<string, () => Promise<Place>> = {
  'behind a front with TLS, Host as it came': async () => {
    const tls = await makeCertificate(mkdtempSync(path.join(testServers().directory, 'front-')));
    const { front } = await startBehind({ prefix: PREFIX, tls });
    return { url: front.url, front, cookie: { name: '__Secure-flexiapi-page.flexiapi', path: PREFIX, secure: true } };
  },
  'behind a front without TLS, the host in X-Forwarded-Host': async () => {
    const { front } = await startBehind({ prefix: PREFIX, host: 'forwarded' });
    return { url: front.url, front, cookie: { name: 'flexiapi-page.flexiapi', path: PREFIX, secure: false } };
  },
  'past the front': async () => {
    const { direct } = await startBehind({ prefix: PREFIX });
    return { url: direct, cookie: { name: 'flexiapi-page', path: '/', secure: false } };
  },
  'without a front': async () => {
    await system.startWeb();
    return { url: system.urls.at(-1) ?? '', cookie: { name: 'flexiapi-page', path: '/', secure: false } };
  },
};

withBrowser.each(Object.entries(PLACES))('%s, in a browser', (_name, start) => {
  let place: Place;
  let context: BrowserContext;
  let page: Page;
  /** What failed, was blocked, or was asked of somebody else. */
  let faults: string[];

  beforeAll(async () => {
    place = await start();
    context = await openBrowser(executable ?? '', 'en-GB', ['--ignore-certificate-errors']);
  });
  afterAll(() => context.close());
  beforeEach(async () => {
    await context.clearCookies();
    page = await context.newPage();
    faults = [];
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
    page.on('requestfailed', (request) => {
      const { errorText } = request.failure() ?? {};
      // What a page that is left did not need any more.
      if (errorText !== 'net::ERR_ABORTED') faults.push(`${request.url()} ${errorText}`);
    });
    page.on('response', (response) => {
      const isOwn = response.url().startsWith(`${place.url}/`) || response.url().startsWith(`blob:${new URL(place.url).origin}/`);
      if (!isOwn || response.status() >= 400) faults.push(`${response.status()} ${response.url()}`);
    });
  });
  afterEach(async () => {
    await page.close();
    expect(place.front?.outside.map(({ path: asked }) => asked) ?? []).toEqual([]);
  });
  /** The form is the answer, 401, to whoever is not signed in: the one fault that is none. */
  async function signIn(to: string): Promise<void> {
    const answer = await page.goto(place.url + to);
    expect([answer?.status(), faults.splice(0).filter((fault) => !/\b401\b/.test(fault))]).toEqual([401, []]);
    // Styled.
    expect(await page.evaluate('getComputedStyle(document.body).display')).toBe('grid');
    await page.getByLabel('API key').fill(superAdmin.key);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByLabel('API key').waitFor({ state: 'detached' });
  }
  const pageCookies = async (): Promise<object[]> =>
    (await context.cookies()).map(({ name, path: of, secure }) => ({ name, path: of, secure }));

  test('a person validates a request token', async () => {
    const asked = await system.api('/account_creation_request_tokens', { method: 'POST' });
    const link = new URL(asked.json['validation_url'] as string).pathname.replace(/^.*(?=\/creation_token)/, '');
    await page.goto(place.url + link);
    expect(await page.evaluate('getComputedStyle(document.body).display')).toBe('grid');
    await page.getByRole('button', { name: 'I am not a robot' }).click();
    await page.getByRole('heading', { name: 'Thank you' }).waitFor();
    expect(await page.evaluate('getComputedStyle(document.body).display')).toBe('grid');
    expect(faults).toEqual([]);
    // It is gone by now: an error is a page with its style as well.
    expect((await page.goto(`${place.url}/creation_token/check/none`))?.status()).toBe(404);
    expect(await page.evaluate('getComputedStyle(document.body).display')).toBe('grid');
  });

  test('the documentation, and a request that is tried out there', async () => {
    await page.goto(`${place.url}/api`);
    await page.locator('[id$="get_phone_countries"]').first().click();
    expect(await page.locator('.servers select').inputValue()).toBe(`${place.url}/api`);
    await page.getByRole('button', { name: 'Try it out' }).click();
    const tried = page.waitForResponse(`${place.url}/api/phone_countries`);
    await page.getByRole('button', { name: 'Execute' }).click();
    expect((await tried).status()).toBe(200);
    expect(await page.locator('.request-url').first().textContent()).toContain(`${place.url}/api/phone_countries`);
    expect(faults).toEqual([]);
  });

  test('statistics: sign in, figures, CSV, links, sign out', async () => {
    await signIn('/statistics');
    await page.getByRole('status').getByText('some seconds old').waitFor();
    expect(page.url()).toBe(`${place.url}/statistics`);
    expect(await pageCookies()).toEqual([place.cookie]);
    const prefix = new URL(`${place.url}/api/statistics/`).pathname;
    await page.getByText(`event-logs/flexiapi-prefix is ${prefix} and`).first().waitFor();
    await page.getByLabel('Group by').selectOption('week');
    await page.getByRole('status').getByText('some seconds old').waitFor();
    const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download CSV: Messages' }).click()]);
    expect(readFileSync(await file.path(), 'utf8')).toMatch(/^period,/);
    await page.getByRole('link', { name: 'Documentation' }).click();
    await page.getByText('/account_creation_tokens/send-by-push').first().waitFor();
    expect(page.url()).toBe(`${place.url}/api`);
    // A slash at the end is another folder to a browser.
    await page.goto(`${place.url}/statistics/`);
    await page.getByRole('status').getByText('some seconds old').waitFor();
    await page.getByRole('link', { name: 'Queues' }).click();
    await page.getByText('maintenance').first().waitFor();
    expect(page.url()).toMatch(`${place.url}/queues`);
    await page.goBack();
    await page.getByRole('status').getByText('some seconds old').waitFor();
    expect(faults).toEqual([]);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('API key').waitFor();
    expect(await pageCookies()).toEqual([]);
  });

  test('queues: sign in at a deep link, look around, retry a job', async () => {
    await system.api('/account_creation_tokens/send-by-push', { method: 'POST', body: { pn_provider: 'fcm', pn_prid: 'd' } });
    await signIn('/queues/queue/push');
    await page.getByText('maintenance').first().waitFor();
    await page.getByRole('link', { name: 'Schedulers' }).click();
    await page.getByText('sweep').first().waitFor();
    await page.getByRole('link', { name: 'push' }).first().click();
    await page.getByRole('link', { name: 'FAILED' }).click();
    await page.getByText('FIREBASE_SERVICE_ACCOUNTS').first().waitFor();
    const job = (await page.locator('[class^=jobLink]').first().textContent()) ?? '';
    await page.locator('[class^=jobLink]').first().click();
    await page.reload();
    await page.getByText('FIREBASE_SERVICE_ACCOUNTS').first().waitFor();
    const retried = page.waitForResponse((response) => response.request().method() === 'PUT');
    await page.locator('[class^=jobActions] button').first().click();
    await page.getByRole('button', { name: 'Confirm' }).click();
    const answer = await retried;
    expect([answer.url(), answer.status()]).toEqual([`${place.url}/queues/api/queues/push/${job}/retry`, 204]);
    expect(faults).toEqual([]);
  });
});

describe('by HTTP alone', () => {
  const html = { accept: 'text/html' };
  const form = { ...html, 'content-type': 'application/x-www-form-urlencoded' };
  let front: Front;
  let direct: string;
  let host: string;
  beforeAll(async () => {
    ({ front, direct } = await startBehind({ prefix: PREFIX }));
    host = new URL(front.url).host;
  });
  const signIn = (url: string, headers: Record<string, string> = {}): Promise<RawAnswer> =>
    send(`${url}/statistics/sign-in`, { method: 'POST', body: `api_key=${superAdmin.key}`, headers: { ...form, ...headers } });
  const setBy = ({ headers }: RawAnswer): string[] =>
    (headers['set-cookie'] ?? []).map((cookie) => cookie.replace(/=[^;]*; Max-Age=\d+;/, ''));

  test.each([
    '/api',
    '/api/',
    '/api?x=/y/z',
    '/statistics',
    '/statistics/',
    '/queues',
    '/queues/',
    '/queues/queue/push/a%2Fb?status=failed',
    '/creation_token/check/none',
  ])('%s: whatever the page names lies behind the prefix, signed in and not', async (page) => {
    for (const headers of [html, { ...html, 'x-api-key': superAdmin.key }]) {
      const url = front.url + page;
      const { text } = await send(url, { headers });
      const base = new URL(/<base href="([^"]*)"/.exec(text)?.[1] ?? '', url);
      const named = [...text.matchAll(/(?<!<base) (href|src|action)="([^"]*)"/g)];
      expect(named.length).toBeGreaterThan(1);
      for (const [, attribute, name = ''] of named) {
        const address = new URL(name, base);
        expect([name, address.href.startsWith(`${front.url}/`)]).toEqual([name, true]);
        const { status } = await send(address.href, {
          method: attribute === 'action' ? 'POST' : 'GET',
          headers: { 'x-api-key': superAdmin.key, accept: '*/*' },
        });
        // An empty form says which field it lacks.
        expect([name, status < 400 || (attribute === 'action' && [415, 422].includes(status))]).toEqual([name, true]);
      }
    }
  });

  test('signing in and out leads to where the form was', async () => {
    for (const url of [front.url, direct]) {
      const answer = await signIn(url);
      expect([answer.status, new URL(answer.headers.location ?? '', `${url}/statistics/sign-in`).href]).toEqual([303, `${url}/statistics`]);
      const out = await send(`${url}/queues/sign-out`, { method: 'POST', headers: html });
      expect([out.status, new URL(out.headers.location ?? '', `${url}/queues/sign-out`).href]).toEqual([303, `${url}/queues`]);
    }
  });

  test('a target with its host before the path', async () => {
    const { hostname, port } = new URL(direct);
    const text = await new Promise<string>((resolve, reject) => {
      httpRequest(
        { hostname, port, path: `${front.url.replace(PREFIX, '')}/queues/queue/push`, headers: { host, ...html } },
        (response) => {
          let read = '';
          response.on('data', (chunk: Buffer) => (read += chunk.toString()));
          response.on('end', () => resolve(read));
        },
      )
        .on('error', reject)
        .end();
    });
    expect(text).toContain('action="../../queues/sign-in"');
  });

  test('cookies are for the prefix where APP_URL’s host was asked, and for all of any other', async () => {
    const page = 'flexiapi-page.flexiapi';
    const rest = 'HttpOnly; SameSite=Strict';
    const tls = { 'x-forwarded-proto': 'https' };
    for (const [headers, cookie] of [
      [{ host }, `${page} Path=/flexiapi; ${rest}`],
      [{ host: 'x', 'x-forwarded-host': host }, `${page} Path=/flexiapi; ${rest}`],
      [{ host: host.toUpperCase() }, `${page} Path=/flexiapi; ${rest}`],
      [{ host, ...tls }, `__Secure-${page} Path=/flexiapi; HttpOnly; Secure; SameSite=Strict`],
      [{}, `flexiapi-page Path=/; ${rest}`],
      [{ host: 'tenant.example.org', ...tls }, '__Host-flexiapi-page Path=/; HttpOnly; Secure; SameSite=Strict'],
    ] as const) {
      const answer = await signIn(direct, headers);
      expect([headers, setBy(answer)]).toEqual([headers, [cookie]]);
      // It opens what it was set for, under that name alone.
      const [pair = ''] = (answer.headers['set-cookie']?.[0] ?? '').split(';');
      const open = async (what: string): Promise<number> =>
        (await send(direct + what, { headers: { ...headers, ...html, cookie: pair } })).status;
      expect([await open('/statistics'), await open('/queues')]).toEqual([200, 200]);
      expect((await send(`${direct}/api/statistics/messages`, { headers: { ...headers, cookie: pair } })).status).toBe(200);
      const other = pair.replace(/^[^=]*/, (name) => (name.includes('.flexiapi') ? name.replace('.flexiapi', '') : `${name}.flexiapi`));
      expect((await send(`${direct}/statistics`, { headers: { ...headers, ...html, cookie: other } })).status).toBe(401);
      const key = await send(`${direct}/api/accounts/me/api_key`, {
        headers: { ...headers, 'x-api-key': (await system.account(`cookie-${Math.random()}`)).key },
      });
      expect(key.headers['set-cookie']?.[0]?.split('; ')).toContain(cookie.split(' ')[1]?.replace(';', ''));
    }
    const out = await send(`${direct}/statistics/sign-out`, { method: 'POST', headers: { host, ...html } });
    expect(setBy(out)).toEqual([`${page} Path=/flexiapi; ${rest}`, `x-api-key Path=/flexiapi; ${rest}`]);
  });

  test('a prefix of several parts', async () => {
    const { front: deep } = await startBehind({ prefix: '/tools/flexi-api' });
    const answer = await signIn(deep.url);
    expect(setBy(answer)).toEqual(['flexiapi-page.tools.flexi.api Path=/tools/flexi-api; HttpOnly; SameSite=Strict']);
    const cookie = answer.headers['set-cookie']?.[0]?.split(';')[0] ?? '';
    const { text } = await send(`${deep.url}/statistics`, { headers: { ...html, cookie } });
    const [, script = ''] = /src="([^"]*statistics\.\w+\.js)"/.exec(text) ?? [];
    expect((await send(new URL(script, `${deep.url}/statistics`).href)).status).toBe(200);
  });

  test('of two installations on one host neither takes the other’s cookie', async () => {
    // A browser sends the cookie of `/` below the prefix as well.
    const both = `flexiapi-page.flexiapi=${superAdmin.key}; flexiapi-page=${'x'.repeat(40)}`;
    expect((await send(`${front.url}/statistics`, { headers: { ...html, cookie: both } })).status).toBe(200);
  });

  test('an origin is the front’s, and no other', async () => {
    const { origin } = new URL(front.url);
    expect((await signIn(front.url, { origin })).status).toBe(303);
    expect((await signIn(front.url, { origin: 'http://localhost:1' })).status).toBe(403);
    const forwarded = { host: '127.0.0.1', 'x-forwarded-host': 'accounts.example.org', 'x-forwarded-proto': 'https' };
    expect((await signIn(direct, { ...forwarded, origin: 'https://accounts.example.org' })).status).toBe(303);
    expect((await signIn(direct, { ...forwarded, origin: 'https://elsewhere.example.org' })).status).toBe(403);
  });

  test('links that are given away have the prefix', async () => {
    const asked = await send(`${front.url}/api/account_creation_request_tokens`, { method: 'POST' });
    expect(asked.json['validation_url']).toMatch(`${front.url}/creation_token/check/`);
    const key = { 'x-api-key': superAdmin.key };
    const { json } = await send(`${front.url}/api/accounts/me/provision`, { headers: key });
    const code = await send(`${front.url}/provisioning/qrcode/${json['provisioning_token'] as string}`);
    expect(code.headers['x-qrcode-url']).toBe(`${front.url}/provisioning/${json['provisioning_token'] as string}`);
    expect((await send(`${front.url}/provisioning`, { headers: { 'x-linphone-provisioning': '1' } })).text).toContain(
      `${front.url}/contacts/vcard`,
    );
    const document = await send(`${front.url}/api/openapi.json`);
    expect(document.json['servers']).toEqual([{ url: `${front.url}/api` }]);
    // Addresses outside the prefix are another application's, and with the prefix `web` itself knows none.
    expect((await send(`${direct}${PREFIX}/api`)).status).toBe(404);
  });
});
