// The dashboard in a real browser: who only reads is shown no button that changes anything, and nobody one by which a queue that sends would send anew.
import type { BrowserContext, Locator, Page } from 'playwright-core';
import { en } from '../src/i18n/en';
import { findBrowser, openBrowser } from './helpers/browser';
import { fillQueue, STATES, type FilledQueue, type State } from './helpers/filled-queue';
import { namedKey } from './helpers/named-keys';
import { startSystem, type System } from './helpers/system';

const executable = findBrowser();
const withBrowser = executable === undefined ? describe.skip : describe;

/** Of everything that changes something, its icon in bull-board, by lucide's names: texts are of the reader's language. */
const CHANGING = [
  'plus',
  'files',
  'pencil',
  'clock',
  'arrow-up-down',
  'list-x',
  'ban',
  'refresh-cw',
  'trash-2',
  'corner-up-left',
  'pause',
  'play',
  'gauge',
  'chart-no-axes-gantt',
];

/** What is shown of a queue to who may change something. */
const SHOWN: Record<'push' | 'statistics', Record<State | 'menu', string[]>> = {
  push: {
    waiting: ['trash-2'],
    prioritized: ['trash-2'],
    completed: ['trash-2'],
    failed: ['refresh-cw', 'trash-2'],
    delayed: ['corner-up-left', 'trash-2'],
    menu: ['chart-no-axes-gantt', 'gauge', 'pause', 'refresh-cw', 'trash-2'],
  },
  statistics: {
    waiting: ['files', 'pencil', 'trash-2'],
    prioritized: ['arrow-up-down', 'files', 'pencil', 'trash-2'],
    completed: ['files', 'refresh-cw', 'trash-2'],
    failed: ['files', 'pencil', 'refresh-cw', 'trash-2'],
    delayed: ['clock', 'corner-up-left', 'files', 'pencil', 'trash-2'],
    menu: ['ban', 'chart-no-axes-gantt', 'gauge', 'pause', 'plus', 'refresh-cw', 'trash-2'],
  },
};
const QUEUES = ['push', 'statistics'] as const;

withBrowser('in a browser', () => {
  let system: System;
  let url: string;
  let superId: number;
  const contexts: BrowserContext[] = [];
  const filled: Record<string, FilledQueue> = {};

  beforeAll(async () => {
    system = await startSystem({ workers: 0 });
    url = system.urls[0] ?? '';
    superId = (await system.account('buttons-super', { admin: true })).id;
    for (const name of QUEUES) filled[name] = await fillQueue(system, name);
  });
  afterAll(async () => {
    await Promise.all(contexts.map((context) => context.close()));
    await Promise.all(Object.values(filled).map(({ queue }) => queue.close()));
    await system.stop();
  });

  const menus = (page: Page): Locator => page.locator('main button[aria-haspopup="menu"]');

  /** Signs in to the dashboard. @returns `asked`: what the page asks for from then on that is no GET */
  async function signIn(scopes: string[], locale = 'en-GB'): Promise<{ page: Page; asked: string[]; faults: string[] }> {
    const context = await openBrowser(executable ?? '', locale);
    contexts.push(context);
    const page = await context.newPage();
    const [asked, faults]: string[][] = [[], []];
    page.on('pageerror', (error) => faults?.push(error.message));
    await page.goto(`${url}/queues`);
    await page.locator('#api_key').fill(await namedKey(system, superId, scopes));
    await page.keyboard.press('Enter');
    await menus(page).first().waitFor();
    await page.locator('main').getByText('maintenance').waitFor();
    page.on('request', (request) => request.method() !== 'GET' && asked?.push(`${request.method()} ${request.url()}`));
    return { page, asked: asked ?? [], faults: faults ?? [] };
  }

  /** Icons of buttons, and of entries of menus, that change something and can be seen. */
  async function changing(place: Page | Locator): Promise<string[]> {
    const icons = place.locator('button:visible svg, [role="menuitem"]:visible svg');
    const classes = await icons.evaluateAll((found) =>
      (found as unknown as { getAttribute: (name: string) => string | null }[]).map((icon) => icon.getAttribute('class') ?? ''),
    );
    return CHANGING.filter((icon) => classes.some((names) => names.split(' ').includes(`lucide-${icon}`))).toSorted();
  }
  /** A menu's entries, opened by its button. */
  async function menuOf(page: Page, button: Locator): Promise<string[]> {
    await button.click();
    const menu = page.getByRole('menu');
    await menu.getByRole('menuitem').first().waitFor();
    const icons = await changing(menu);
    await page.keyboard.press('Escape');
    await menu.waitFor({ state: 'detached' });
    return icons;
  }
  async function openState(page: Page, queue: string, state: string): Promise<void> {
    await page.goto(`${url}/queues/queue/${queue}?status=${state}`);
    await page.locator('main').getByText(state, { exact: true }).last().waitFor();
  }

  async function openJob(page: Page, queue: string, state: State): Promise<void> {
    await page.goto(`${url}/queues/queue/${queue}/${filled[queue]?.jobs[state]}?status=${state}`);
    await page.locator('main').getByText(state, { exact: true }).last().waitFor();
  }

  test('queues:read alone: everything is shown, and no button that changes anything', async () => {
    const { page, asked, faults } = await signIn(['queues:read'], 'fr-FR');
    expect(await changing(page)).toEqual([]);
    expect(await menus(page).count()).toBe(1);
    // It sorts the list.
    expect(await menuOf(page, menus(page))).toEqual(['arrow-up-down']);
    for (const queue of QUEUES) {
      for (const state of STATES) {
        await openState(page, queue, state);
        expect([queue, state, await changing(page), await menus(page).count()]).toEqual([queue, state, [], 0]);
        await openJob(page, queue, state);
        expect([queue, state, await changing(page)]).toEqual([queue, state, []]);
      }
      await page.locator('header .lucide-info').click();
      await page.getByRole('dialog').getByText('BullMQ').waitFor();
      expect([queue, await changing(page)]).toEqual([queue, []]);
    }
    await page.goto(`${url}/queues/job-schedulers`);
    await page.locator('main td').getByText('statistics').waitFor();
    expect(await changing(page)).toEqual([]);
    expect([asked, faults]).toEqual([[], []]);
  });

  test('queues:write as well: all buttons, but those by which a queue that sends would send anew', async () => {
    const { page, asked, faults } = await signIn(['queues:read', 'queues:write'], 'fr-FR');
    // A menu there does not say whose it is. The first is how the queues are sorted.
    for (const button of (await menus(page).all()).slice(1))
      expect((await menuOf(page, button)).filter((icon) => !SHOWN.push.menu.includes(icon))).toEqual([]);
    for (const queue of QUEUES) {
      for (const state of STATES) {
        await openState(page, queue, state);
        expect([queue, state, await changing(page.locator('main'))]).toEqual([queue, state, SHOWN[queue][state]]);
        await openJob(page, queue, state);
        expect([queue, state, await changing(page.locator('main'))]).toEqual([queue, state, SHOWN[queue][state]]);
      }
      await openState(page, queue, 'failed');
      expect([queue, await menuOf(page, menus(page))]).toEqual([queue, SHOWN[queue].menu]);
    }
    await page.goto(`${url}/queues/job-schedulers`);
    await page.locator('main tr', { hasText: 'statistics' }).locator('.lucide-play').waitFor();
    expect([asked, faults]).toEqual([[], []]);
  });

  test('what is not shown cannot be reached by keyboard, and where it is reached all the same the page says why it is refused', async () => {
    const { page, asked, faults } = await signIn(['*']);
    const before = await filled['push']?.queue.getJobCounts();
    await openState(page, 'push', 'failed');
    await menus(page).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('menuitem', { name: 'Pause' }).waitFor();
    const reached = new Set<string>();
    for (let presses = 0; presses < 10; presses += 1) {
      reached.add(await page.evaluate<string>('document.activeElement.textContent'));
      await page.keyboard.press('ArrowDown');
    }
    expect([...reached].toSorted()).toEqual(['Empty', 'Pause', 'Retry all 1 failed jobs', 'Set concurrency', 'Set rate limit']);
    await page.keyboard.press('Escape');
    await page.addStyleTag({ content: 'li:has(.lucide-files) { display: list-item !important; }' });
    await page.locator('main button:has(.lucide-files)').click();
    await page.getByRole('dialog').getByRole('button', { name: 'Duplicate' }).click();
    await page.getByText(en['queue.forbidden']).waitFor();
    await page.getByText(en['queue.sends']).waitFor();
    expect(asked).toEqual([`POST ${url}/queues/api/queues/push/add`]);
    expect(await filled['push']?.queue.getJobCounts()).toEqual(before);
    expect(faults).toEqual([]);
  });
});
