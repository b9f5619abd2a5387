// /sends in a real browser: what admins see of what was sent.
import { readFileSync } from 'node:fs';
import type { BrowserContext, Page } from 'playwright-core';
import { findBrowser, openSignedIn } from './helpers/browser';
import { fillLedger } from './helpers/ledger';
import { namedKey } from './helpers/named-keys';
import { request, startSystem, type Account, type System } from './helpers/system';

const TENANT = 'tenant.example.org';
const executable = findBrowser();
const withBrowser = executable === undefined ? describe.skip : describe;
let system: System;
let url: string;
let superAdmin: Account;
let admin: Account;

beforeAll(async () => {
  system = await startSystem({ webs: 1, workers: 0, environment: { APP_KEY: 'the ledger is read by this secret' } });
  url = system.urls[0] ?? '';
  superAdmin = await system.account('sends-super', { admin: true });
  await system.space(TENANT);
  admin = await system.account('sends-admin', { domain: TENANT, admin: true });
});
afterAll(() => system.stop());

test('who may see it: admins by form and cookie, which the endpoints take as well', async () => {
  const html = { accept: 'text/html' };
  const user = await system.account('sends-user');
  expect((await request(`${url}/sends`, { headers: html })).status).toBe(401);
  expect((await request(`${url}/sends`, { headers: { ...html, 'x-api-key': user.key } })).status).toBe(403);
  const signed = await request(`${url}/sends/sign-in`, {
    method: 'POST',
    body: `api_key=${admin.key}`,
    headers: { 'content-type': 'application/x-www-form-urlencoded', origin: url },
  });
  expect([signed.status, signed.headers.get('location')]).toEqual([303, '../sends']);
  const cookie = signed.headers.get('set-cookie')?.split(';')[0] ?? '';
  for (const path of ['/sends', '/api/sends', '/api/sends/summary', `/api/accounts/${admin.id}/sends`])
    expect([path, (await request(url + path, { headers: { cookie, accept: '*/*' } })).status]).toEqual([path, 200]);
  const keyOf = (scope: string): Promise<string> => namedKey(system, superAdmin.id, [scope]);
  expect((await request(`${url}/sends`, { headers: { ...html, 'x-api-key': await keyOf('statistics:read') } })).status).toBe(403);
});

withBrowser('in a browser', () => {
  const contexts: BrowserContext[] = [];
  afterAll(() => Promise.all(contexts.map((context) => context.close())));

  /** A page, signed in; what goes wrong in it, and what it asks of other hosts, is noted. */
  async function open(locale: string, key: string): Promise<{ page: Page; faults: string[] }> {
    const { context, page, faults } = await openSignedIn(executable ?? '', locale, `${url}/sends`, key);
    contexts.push(context);
    return { page, faults };
  }
  const loaded = (page: Page, text: string | RegExp = / to .*time zone/): Promise<void> =>
    page.getByRole('status').getByText(text).waitFor();
  const figure = async (page: Page, name: string): Promise<string> =>
    ((await page.locator(`[data-figure="${name}"]`).textContent()) ?? '').split(/[\s\u202f\u00a0]/)[0] ?? '';
  const rows = (page: Page): ReturnType<Page['locator']> => page.locator('tr[data-send]');

  test('nothing sent yet: it says so', async () => {
    const { page, faults } = await open('en-GB', superAdmin.key);
    await loaded(page);
    expect(await page.getByText('No sends in this period.').count()).toBe(2);
    expect(await page.locator('canvas').count()).toBe(0);
    expect(faults).toEqual([]);
  });

  describe('with sends', () => {
    let counts: Awaited<ReturnType<typeof fillLedger>>;
    beforeAll(async () => {
      counts = await fillLedger(system, TENANT);
    });

    test('outcomes by hour, latency by channel, failures by reason; a reason narrows the list', async () => {
      const { page, faults } = await open('en-GB', superAdmin.key);
      await loaded(page);
      expect(await figure(page, 'total')).toBe(String(counts.total));
      expect(await figure(page, 'failed')).toBe(String(counts.failed));
      const colours = `(() => { const canvas = document.querySelector('canvas');
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return new Set(new Uint32Array(data.buffer)).size; })()`;
      expect(await page.evaluate(colours)).toBeGreaterThan(4);
      const sms = page.locator('tr[data-channel="sms"] td');
      expect(await sms.count()).toBe(9);
      expect(Number(await sms.nth(3).textContent())).toBeGreaterThan(0);
      const unknown = page.locator('tr[data-reason="device_unknown"]');
      expect(await unknown.locator('td').nth(1).textContent()).toBe(String(counts.deviceUnknown));
      expect(await rows(page).count()).toBe(50);
      await unknown.getByRole('button', { name: 'Device unknown' }).focus();
      await page.keyboard.press('Enter');
      await page.getByText('Only: Device unknown').waitFor();
      expect(await rows(page).count()).toBe(counts.deviceUnknown);
      expect(new URL(page.url()).searchParams.get('reason')).toBe('device_unknown');
      await page.reload();
      await page.getByText('Only: Device unknown').waitFor();
      await page.getByRole('button', { name: 'Show all' }).click();
      await rows(page).nth(49).waitFor();
      expect(await rows(page).count()).toBe(50);
      await page.getByRole('button', { name: 'Older ones' }).click();
      await rows(page).nth(50).waitFor();
      expect(faults).toEqual([]);
    });

    test('a person’s last codes, by whatever spelling, with the keyboard alone; nobody’s address stays in the page’s own', async () => {
      const { page, faults } = await open('en-GB', superAdmin.key);
      await loaded(page);
      // Each control is reached with the keyboard, in the order in which it is read.
      await page.locator('h1').click();
      const reached: unknown[] = [];
      for (let presses = 0; presses < 11; presses += 1) {
        await page.keyboard.press('Tab');
        reached.push(await page.evaluate('document.activeElement.id || document.activeElement.textContent'));
      }
      expect(reached.join(' ')).toBe('Documentation Statistics Queues Sign out search_by search_for Find range channel state domain');
      await page.getByLabel('Search for').focus();
      await page.keyboard.type('+33 6 12 34 56 78');
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: 'Sends found: +33 6 12 34 56 78' }).waitFor();
      expect(await rows(page).count()).toBe(counts.ofPhone);
      // Before all figures.
      expect(await page.evaluate('document.getElementById("content").firstElementChild.id')).toBe('list');
      const newest = rows(page).first();
      expect(await newest.textContent()).toMatch(/Code for a new phone.*\+33•••78.*Recipient not reachable · 21610/);
      expect(new URL(page.url()).search).toBe('?range=1');
      await newest.getByRole('button').first().click();
      await page.getByRole('heading', { name: /^Sends found: \d+$/ }).waitFor();
      await page.getByRole('button', { name: 'Clear' }).click();
      await page.getByRole('heading', { name: 'Sends', exact: true, level: 2 }).waitFor();
      await page.getByLabel('Search by').selectOption('recipient');
      await page.getByLabel('Search for').fill('nobody@example.org');
      await page.keyboard.press('Enter');
      await page.getByText('Nothing was sent to this recipient').waitFor();
      await page.getByLabel('Search by').selectOption('account');
      await page.getByLabel('Search for').fill('bob');
      await page.keyboard.press('Enter');
      await page.getByRole('status').getByText('must be an integer').waitFor();
      expect(faults).toEqual([]);
    });

    test('channel, state, period and Space; a CSV of what is listed', async () => {
      const { page, faults } = await open('en-GB', superAdmin.key);
      await loaded(page);
      await page.getByLabel('Channel').selectOption('sms');
      await page.locator('tr[data-channel="push"]').waitFor({ state: 'detached' });
      await page.getByLabel('State').selectOption('failed');
      await page.locator('tr[data-send]:not([data-state="failed"])').first().waitFor({ state: 'detached' });
      await rows(page).first().waitFor();
      const shown = await rows(page).count();
      const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download CSV' }).click()]);
      expect(file.suggestedFilename()).toMatch(/^sends-.*\.csv$/);
      expect(
        readFileSync(await file.path(), 'utf8')
          .trim()
          .split('\n'),
      ).toHaveLength(shown + 1);
      await page.getByLabel('State').selectOption('');
      await page.getByLabel('Space').selectOption(TENANT);
      await page.locator('[data-figure="total"]', { hasText: new RegExp(`^${counts.smsOfTenant}$`) }).waitFor();
      await page.getByLabel('Period').selectOption('7');
      await page.locator('[data-figure="total"]', { hasText: new RegExp(`^${counts.smsOfTenant}$`) }).waitFor();
      expect(faults).toEqual([]);
    });

    test('an admin sees the own Space alone; in French, dark, at 360 px', async () => {
      const { page, faults } = await open('fr-FR', admin.key);
      await loaded(page, /fuseau horaire/);
      expect(await page.title()).toBe('Envois de FlexiAPI');
      expect(await figure(page, 'total')).toBe(String(counts.ofTenant));
      expect(await page.locator('output#domain').textContent()).toBe(TENANT);
      expect(await page.getByRole('link', { name: 'Files d’attente' }).count()).toBe(0);
      const background = (): Promise<unknown> => page.evaluate('getComputedStyle(document.body).backgroundColor');
      const light = await background();
      await page.emulateMedia({ colorScheme: 'dark' });
      expect(await background()).not.toBe(light);
      for (const width of [360, 320, 768, 1280]) {
        await page.setViewportSize({ width, height: 700 });
        expect([width, await page.evaluate('document.documentElement.scrollWidth <= innerWidth')]).toEqual([width, true]);
      }
      expect(faults).toEqual([]);
    });

    test('links between the pages; signed out meanwhile: the form again; unavailable: said in words', async () => {
      const { page } = await open('en-GB', superAdmin.key);
      await loaded(page);
      await page.getByRole('link', { name: 'Statistics' }).click();
      await page.getByRole('heading', { name: 'Statistics', level: 1 }).waitFor();
      await page.getByRole('link', { name: 'Sends' }).click();
      await loaded(page);
      await page.route('**/api/sends**', (route) => route.abort());
      await page.getByLabel('Channel').selectOption('push');
      await page.getByRole('status').getByText('The sends could not be read.').waitFor();
      await page.unroute('**/api/sends**');
      await page.context().clearCookies();
      await page.getByLabel('Channel').selectOption('sms');
      await page.getByLabel('API key').waitFor();
    });
  });
});
