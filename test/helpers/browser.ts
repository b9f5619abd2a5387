// The machine's Chromium, driven by playwright-core. Nothing is downloaded.
import { existsSync, mkdtempSync } from 'node:fs';
import path from 'node:path';
import { chromium, type BrowserContext, type Page } from 'playwright-core';
import { testServers } from '../setup/servers';

const PLACES = [
  process.env['CHROMIUM'] ?? '',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

/** Path of a browser; undefined where there is none, which is an error under CI=true and said aloud otherwise. */
export function findBrowser(): string | undefined {
  const found = PLACES.find((place) => place !== '' && existsSync(place));
  if (found === undefined) {
    const missing = 'There is no Chromium on this machine: install it, or set CHROMIUM to its path. The browser tests did not run.';
    if (process.env['CI'] === 'true') throw new Error(missing);
    process.stderr.write(`\n${missing}\n`);
  }
  return found;
}

const QUIET = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** A fresh profile in a language; `more` are options of Chromium's command line. */
export function openBrowser(executablePath: string, locale: string, more: string[] = []): Promise<BrowserContext> {
  const profile = mkdtempSync(path.join(testServers().directory, 'browser-'));
  const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return chromium.launchPersistentContext(profile, { executablePath, locale, headless: true, args: [...QUIET, ...sandbox, ...more] });
}

/**
 * A page for admins, signed in by its form, in a browser of its own.
 *
 * @param address of the page, `http://127.0.0.1:8080/sends`
 * @returns `faults` is added to while the page is open: errors of its scripts, and addresses of other hosts that it asked; `context` is to be closed
 */
export async function openSignedIn(
  executablePath: string,
  locale: string,
  address: string,
  key: string,
): Promise<{ context: BrowserContext; page: Page; faults: string[] }> {
  const { origin } = new URL(address);
  const context = await openBrowser(executablePath, locale);
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('requestfinished', (asked) => {
    if (!asked.url().startsWith(origin) && !asked.url().startsWith(`blob:${origin}`)) faults.push(asked.url());
  });
  await page.goto(address);
  await page.getByLabel(locale.startsWith('fr') ? 'Clé d’API' : 'API key').fill(key);
  await page.keyboard.press('Enter');
  return { context, page, faults };
}
