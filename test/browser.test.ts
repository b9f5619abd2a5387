// What people see, in a real browser: the validation page, the dashboard's sign-in, the documentation.
import type { BrowserContext, Page } from 'playwright-core';
import { findBrowser, openBrowser } from './helpers/browser';
import { startSystem, type System } from './helpers/system';

const executable = findBrowser();
const withBrowser = executable === undefined ? describe.skip : describe;

withBrowser('in a browser', () => {
  let system: System;
  let url: string;
  const contexts: BrowserContext[] = [];
  beforeAll(async () => {
    system = await startSystem();
    url = system.urls[0] ?? '';
  });
  afterAll(async () => {
    await Promise.all(contexts.map((context) => context.close()));
    await system.stop();
  });

  /** A page that fails the test where a script fails, or something is asked of another host. */
  async function open(locale: string): Promise<{ page: Page; faults: string[] }> {
    const context = await openBrowser(executable ?? '', locale);
    contexts.push(context);
    const page = await context.newPage();
    const faults: string[] = [];
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('requestfinished', (request) => {
      if (!request.url().startsWith(url)) faults.push(request.url());
    });
    return { page, faults };
  }

  test('a person validates a request token, and the app goes on', async () => {
    const { token, validation_url: address } = (await system.api('/account_creation_request_tokens', { method: 'POST' })).json as {
      token: string;
      validation_url: string;
    };
    const { page, faults } = await open('fr-FR');
    await page.goto(url + new URL(address).pathname);
    expect(await page.title()).toBe('Une étape avant votre compte FlexiAPI');
    expect(await page.locator('html').getAttribute('lang')).toBe('fr');
    expect(
      (await system.rows('SELECT validated_at FROM account_creation_request_tokens WHERE token = $1', [token]))[0]?.['validated_at'],
    ).toBeNull();
    // With the keyboard alone.
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Je ne suis pas un robot');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Merci' }).waitFor();
    const creation = await system.api('/account_creation_tokens/using-account-creation-request-token', {
      method: 'POST',
      body: { account_creation_request_token: token },
    });
    expect(creation.status).toBe(201);
    await page.goto(`${url}/creation_token/check/${token}`);
    await page.getByRole('heading', { name: 'Ce lien n’est plus valable' }).waitFor();
    await page.setViewportSize({ width: 320, height: 600 });
    expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
    expect(faults).toEqual([]);
  });

  test('a super admin signs in to the queues and sees a failed push', async () => {
    const { key } = await system.account('browser-super', { admin: true });
    await system.api('/account_creation_tokens/send-by-push', { method: 'POST', body: { pn_provider: 'fcm', pn_prid: 'd' } });
    const { page, faults } = await open('en-GB');
    await page.goto(`${url}/queues`);
    await page.getByLabel('API key').fill('wrong');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('alert').waitFor();
    await page.getByLabel('API key').fill(key);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('maintenance').first().waitFor();
    await page.goto(`${url}/queues/queue/push?status=failed`);
    await page.getByText('FIREBASE_SERVICE_ACCOUNTS').first().waitFor();
    expect(faults).toEqual([]);
  });

  test('the documentation lists the endpoints', async () => {
    const { page, faults } = await open('en-GB');
    await page.goto(`${url}/api`);
    await page.getByText('/account_creation_tokens/send-by-push').first().waitFor();
    expect(faults).toEqual([]);
  });
});
