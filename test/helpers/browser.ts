// The machine's Chromium, driven by playwright-core. Nothing is downloaded.
import { existsSync, mkdtempSync } from 'node:fs';
import path from 'node:path';
import { chromium, type BrowserContext } from 'playwright-core';
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
