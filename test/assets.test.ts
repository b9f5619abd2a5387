// Scripts and stylesheets of pages: kept by browsers for good, under names that change with what is in them.
import { createHash } from 'node:crypto';
import { request, startSystem, type Account, type System } from './helpers/system';

let system: System;
let admin: Account;
beforeAll(async () => {
  system = await startSystem({ webs: 2, workers: 0 });
  admin = await system.account('assets-admin', { admin: true });
});
afterAll(() => system.stop());

const PAGES = {
  '/api': ['documentation.js', 'swagger-ui-bundle.js', 'swagger-ui.css'],
  '/statistics': ['chart.js', 'statistics.css', 'statistics.js'],
  '/creation_token/check/none': ['page.css'],
  // Signed out.
  '/queues': ['page.css'],
};

async function filesOf(page: string): Promise<string[]> {
  const answer = await request(`${system.url}${page}`, {
    headers: { ...(page === '/queues' ? {} : { 'x-api-key': admin.key }), accept: 'text/html' },
  });
  expect([page, answer.headers.get('cache-control')]).toEqual([page, 'no-store']);
  // Named from where the page is.
  return [...answer.text.matchAll(/(?:src|href)="([./]+\/assets\/[^"]*)"/g)]
    .map(([, file = '']) => new URL(file, `${system.url}${page}`).pathname)
    .toSorted();
}
const load = async (file: string): Promise<{ status: number; cached: string | null; type: string | null; bytes: Buffer }> => {
  const answer = await fetch(`${system.url}${file}`);
  return {
    status: answer.status,
    cached: answer.headers.get('cache-control'),
    type: answer.headers.get('content-type'),
    bytes: Buffer.from(await answer.arrayBuffer()),
  };
};

test.each(Object.entries(PAGES))(
  '%s is not cached, and names its files by what is in them, which are cached for good',
  async (page, names) => {
    const files = await filesOf(page);
    expect(files.map((file) => file.replace(/^\/assets\/(.*)\.[0-9a-f]{16}(\.\w+)$/, '$1$2')).toSorted()).toEqual(names);
    // Of any process: all of one version have the same names.
    expect(await filesOf(page)).toEqual(files);
    for (const file of files) {
      const { status, cached, type, bytes } = await load(file);
      expect([file, status, cached]).toEqual([file, 200, 'public, max-age=31536000, immutable']);
      expect(type).toMatch(file.endsWith('.css') ? /^text\/css/ : /^text\/javascript/);
      expect(file).toContain(createHash('sha256').update(bytes).digest('hex').slice(0, 16));
    }
  },
);

test('what another version’s page asks for is not there, and nobody remembers that', async () => {
  const [file = ''] = await filesOf('/statistics');
  const other = file.replace(/[0-9a-f]{16}/, (hash) => hash.replace(/./, (first) => (first === '0' ? '1' : '0')));
  for (const gone of [
    other,
    '/assets/statistics.js',
    '/assets/page.css',
    '/assets/swagger-ui/swagger-ui.css',
    '/assets/constructor',
    '/assets/nothing.0123456789abcdef.js',
    '/assets/%2e%2e%2fpackage.json',
  ]) {
    const { status, cached } = await load(gone);
    expect([gone, status, cached]).toEqual([gone, 404, 'no-store']);
  }
});
