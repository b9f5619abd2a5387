// /statistics in a real browser: what admins see of what Flexisip reports.
import type { BrowserContext, Page } from 'playwright-core';
import { readFileSync } from 'node:fs';
import { findBrowser, openSignedIn } from './helpers/browser';
import { namedKey } from './helpers/named-keys';
import { noMarks } from './helpers/statistics';
import { request, SPACE, startSystem, type Account, type System } from './helpers/system';

const TENANT = 'tenant.example.org';
const executable = findBrowser();
const withBrowser = executable === undefined ? describe.skip : describe;
let system: System;
let url: string;
let superAdmin: Account;
let admin: Account;

beforeAll(async () => {
  system = await startSystem();
  url = system.urls[0] ?? '';
  superAdmin = await system.account('page-super', { admin: true });
  await system.space(TENANT);
  admin = await system.account('page-admin', { domain: TENANT, admin: true });
});
afterAll(() => system.stop());

test('who may see it: admins by form and cookie, which the endpoints take as well; and out again', async () => {
  const html = { accept: 'text/html' };
  const user = await system.account('page-user');
  expect((await request(`${url}/statistics`, { headers: html })).status).toBe(401);
  expect((await request(`${url}/statistics`, { headers: { ...html, 'x-api-key': user.key } })).status).toBe(403);
  const post = (route: string, headers: Record<string, string>, body = ''): ReturnType<typeof request> =>
    request(`${url}/statistics${route}`, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    });
  expect((await post('/sign-in', {}, `api_key=${user.key}`)).status).toBe(403);
  expect((await post('/sign-in', { origin: 'https://evil.example.org' }, `api_key=${admin.key}`)).status).toBe(403);
  const signed = await post('/sign-in', { origin: url }, `api_key=${admin.key}`);
  expect([signed.status, signed.headers.get('location')]).toEqual([303, '../statistics']);
  const cookie = signed.headers.get('set-cookie')?.split(';')[0] ?? '';
  expect((await request(`${url}/statistics`, { headers: { ...html, cookie } })).status).toBe(200);
  expect((await request(`${url}/api/statistics/messages`, { headers: { cookie } })).status).toBe(200);
  // An admin of a Space is not let in to the queues by it.
  expect((await request(`${url}/queues`, { headers: { ...html, cookie } })).status).toBe(403);
  expect((await post('/sign-out', { origin: 'https://evil.example.org', cookie })).status).toBe(403);
  const out = await post('/sign-out', { origin: url, cookie });
  expect([out.status, out.headers.get('set-cookie')]).toEqual([303, expect.stringContaining('Max-Age=0') as string]);
});

withBrowser('in a browser', () => {
  const contexts: BrowserContext[] = [];
  afterAll(() => Promise.all(contexts.map((context) => context.close())));

  /** A page, signed in; what goes wrong in it, and what it asks of other hosts, is noted. */
  async function open(locale: string, key: string): Promise<{ page: Page; faults: string[] }> {
    const { context, page, faults } = await openSignedIn(executable ?? '', locale, `${url}/statistics`, key);
    contexts.push(context);
    return { page, faults };
  }
  const loaded = (page: Page, text: string | RegExp = /some seconds old/): Promise<void> =>
    page.getByRole('status').getByText(text).waitFor();

  test('nothing reported yet: it says what to do', async () => {
    const { page, faults } = await open('en-GB', superAdmin.key);
    await loaded(page);
    await page.getByText('event-logs/flexiapi-prefix is /api/statistics/').first().waitFor();
    expect(await page.locator('canvas').count()).toBe(0);
    expect(faults).toEqual([]);
  });

  describe('with messages and calls', () => {
    beforeAll(async () => {
      const send = (method: string, route: string, body: object): Promise<unknown> =>
        system.api(`/statistics${route}`, { method, body, key: superAdmin.key });
      const now = Date.now();
      for (let n = 0; n < 12; n += 1) {
        const at = (seconds: number): string => new Date(now - n * 86_400_000 - 3_600_000 + seconds * 1000).toISOString();
        const from = `alice@${n % 3 === 0 ? TENANT : SPACE}`;
        await send('POST', '/messages', { id: `m${n}`, from, sent_at: at(0), encrypted: n % 2 === 0 });
        await send('PATCH', `/messages/m${n}/to/bob@${SPACE}/devices/d`, { last_status: n === 5 ? 503 : 200, received_at: at(3) });
        await send('POST', '/calls', { id: `c${n}`, from, to: `bob@${SPACE}`, initiated_at: at(0), ended_at: at(75) });
        const state = n % 4 === 0 ? 'declined' : 'accepted';
        await send('PATCH', `/calls/c${n}/devices/d`, { rang_at: at(1), invite_terminated: { at: at(9), state } });
      }
      await noMarks(system);
    });

    const figure = (page: Page, name: string): Promise<string | null> => page.locator(`[data-figure="${name}"]`).textContent();

    test('charts with their numbers in a table beside; period, grouping, Space and direction by keyboard; kept in the address', async () => {
      const { page, faults } = await open('en-GB', superAdmin.key);
      await loaded(page);
      expect(await page.locator('canvas').count()).toBe(6);
      expect(await page.getByRole('table').count()).toBe(6);
      expect(await figure(page, 'messages')).toBe('12');
      expect(await figure(page, 'delivery_rate')).toBe('91.7%');
      expect(await figure(page, 'delay_p50')).toBe('3 s');
      expect(await figure(page, 'answered_share')).toBe('75%');
      // Something was drawn: not all of a chart is one colour.
      const colours = `(() => { const canvas = document.querySelector('canvas');
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return new Set(new Uint32Array(data.buffer)).size; })()`;
      expect(await page.evaluate(colours)).toBeGreaterThan(5);
      const first = page.getByRole('table').first();
      expect(await first.locator('tbody tr').count()).toBe(30);
      expect(await first.locator('tfoot td').first().textContent()).toBe('12');

      // Each control is reached with the keyboard, in the order in which it is read.
      await page.locator('h1').click();
      const reached: unknown[] = [];
      for (let presses = 0; presses < 10; presses += 1) {
        await page.keyboard.press('Tab');
        reached.push(await page.evaluate('document.activeElement.id || document.activeElement.textContent'));
      }
      expect(reached.join(' ')).toMatch(/Documentation Sends Queues Sign out range by domain .*CSV/);

      await page.getByLabel('Space').focus();
      await page.getByLabel('Space').selectOption(TENANT);
      await page.locator('[data-figure="messages"]', { hasText: /^4$/ }).waitFor();
      await page.getByLabel('Direction').selectOption('received');
      await page.locator('.empty').first().waitFor();
      await page.getByLabel('Direction').selectOption('sent');
      await page.getByLabel('Period').selectOption('months');
      await page.locator('[data-figure="messages"]', { hasText: /^4$/ }).waitFor();
      expect(await page.getByLabel('Group by').inputValue()).toBe('month');
      await page.reload();
      await loaded(page);
      expect(await page.getByLabel('Space').inputValue()).toBe(TENANT);
      expect(await page.getByRole('table').first().locator('tbody tr').count()).toBe(12);

      // A period of one's own; one that is too long for its grouping is refused in words.
      await page.getByLabel('Period').selectOption('custom');
      await page.getByLabel('From').fill('2020-01-01');
      await page.getByLabel('Group by').selectOption('hour');
      await page.getByRole('status').getByText('more than 1000 periods').waitFor();
      await page.getByLabel('Group by').selectOption('year');
      await page.locator('[data-figure="messages"]', { hasText: /^4$/ }).waitFor();
      expect(faults).toEqual([]);
    });

    test('a CSV of what is shown', async () => {
      const { page, faults } = await open('en-GB', superAdmin.key);
      await loaded(page);
      const [file] = await Promise.all([
        page.waitForEvent('download'),
        page.getByRole('button', { name: 'Download CSV: Messages' }).click(),
      ]);
      expect(file.suggestedFilename()).toMatch(/^messages-.*-by-day\.csv$/);
      const lines = readFileSync(await file.path(), 'utf8')
        .trim()
        .split('\n');
      expect(lines[0]).toMatch(/^period,from,to,messages,/);
      expect(lines).toHaveLength(31);
      expect(lines.slice(1).reduce((sum, line) => sum + Number(line.split(',')[3]), 0)).toBe(12);
      expect(faults).toEqual([]);
    });

    test('an admin sees the own Space alone; in French, dark, at 360 px', async () => {
      const { page, faults } = await open('fr-FR', admin.key);
      await loaded(page, /quelques secondes/);
      expect(await page.title()).toBe('Statistiques de FlexiAPI');
      expect(await figure(page, 'messages')).toBe('4');
      expect(await page.locator('select#domain').count()).toBe(0);
      expect(await page.locator('output#domain').textContent()).toBe(TENANT);
      const background = (): Promise<unknown> => page.evaluate('getComputedStyle(document.body).backgroundColor');
      const light = await background();
      await page.emulateMedia({ colorScheme: 'dark' });
      expect(await background()).not.toBe(light);
      for (const range of ['days', 'custom'])
        for (const width of [360, 320, 1280]) {
          await page.getByLabel('Période').selectOption(range);
          await page.setViewportSize({ width, height: 700 });
          expect([range, width, await page.evaluate('document.documentElement.scrollWidth <= innerWidth')]).toEqual([range, width, true]);
        }
      expect(faults).toEqual([]);
    });

    test('a super admin’s key that may read statistics alone: no list of Spaces, but any can be asked for by its name', async () => {
      const { page, faults } = await open('en-GB', await namedKey(system, superAdmin.id, ['statistics:read']));
      await loaded(page);
      expect(await figure(page, 'messages')).toBe('12');
      expect(await page.getByRole('link', { name: 'Queues' }).count()).toBe(0);
      expect(await page.getByLabel('Space').getAttribute('placeholder')).toBe('All together');
      await page.getByLabel('Space').fill(TENANT);
      await page.keyboard.press('Enter');
      await page.locator('[data-figure="messages"]', { hasText: /^4$/ }).waitFor();
      await page.getByLabel('Direction').waitFor();
      await page.reload();
      await page.locator('[data-figure="messages"]', { hasText: /^4$/ }).waitFor();
      expect(await page.getByLabel('Space').inputValue()).toBe(TENANT);
      expect(faults).toEqual([]);
    });

    test('signed out meanwhile: the form again; the server unavailable: said in words', async () => {
      const { page } = await open('en-GB', superAdmin.key);
      await loaded(page);
      await page.route('**/api/statistics/**', (route) => route.abort());
      await page.getByLabel('Group by').selectOption('week');
      await page.getByRole('status').getByText('The figures could not be read.').waitFor();
      await page.unroute('**/api/statistics/**');
      await page.context().clearCookies();
      await page.getByLabel('Group by').selectOption('day');
      await page.getByLabel('API key').waitFor();
    });
  });
});
