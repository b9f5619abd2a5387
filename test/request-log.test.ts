// Which requests have a line in the log, and what stands in it.
import { connect } from 'node:net';
import { startSystem, type System, eventually } from './helpers/system';

let system: System;
beforeAll(async () => {
  system = await startSystem({ webs: 0, workers: 0 });
});
afterAll(() => system.stop());

interface Line {
  msg: string;
  level: number;
  request_id: string;
  method: string | null;
  route: string | null;
  status: number;
  ms: number;
  ip: string;
  pid: number;
  version: string;
  aborted?: true;
}

const linesOf = (output: string): Line[] =>
  output
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Line)
    .filter(({ msg }) => msg === 'request');

/** Asks for what is there, what is not, and (where the database is away) what fails; gives the lines, once the last of them is written. */
async function linesWith(setting: string | undefined, last: number | null): Promise<Line[]> {
  const environment = { DATABASE_URL: 'postgres://127.0.0.1:1/none', ...(setting === undefined ? {} : { LOG_REQUESTS: setting }) };
  const web = await system.startWeb(environment);
  const url = system.urls.at(-1) ?? '';
  for (const [path, headers] of [
    ['/api/ping', {}],
    ['/api/nothing', {}],
    ['/health/live', {}],
    ['/api/accounts/me', { 'x-api-key': 'a'.repeat(40), 'x-request-id': `last-${setting}` }],
  ] as const)
    await (await fetch(url + path, { headers: headers as Record<string, string> })).arrayBuffer();
  if (last !== null)
    await eventually(
      () => Promise.resolve(linesOf(web.output())),
      (lines) => lines.length >= last,
    );
  await web.end();
  return linesOf(web.output());
}

test('all by default, health apart; each has what it is known by, and no more', async () => {
  const lines = await linesWith(undefined, 3);
  expect(lines.map(({ method, route, status }) => [method, route, status])).toEqual([
    ['GET', '/ping', 200],
    ['GET', null, 404],
    ['GET', '/accounts/me', 503],
  ]);
  expect(lines.map(({ level }) => level)).toEqual([30, 30, 40]);
  const [, , last] = lines;
  expect(Object.keys(last ?? {}).sort()).toEqual([
    'ip',
    'level',
    'method',
    'ms',
    'msg',
    'pid',
    'request_id',
    'route',
    'status',
    'time',
    'version',
  ]);
  expect([last?.request_id, last?.ip]).toEqual(['last-undefined', '127.0.0.1']);
});

test('errors: answers from 500 on', async () => {
  expect((await linesWith('errors', 1)).map(({ status }) => status)).toEqual([503]);
});

test('errors: what was cut off, too', async () => {
  const web = await system.startWeb({ LOG_REQUESTS: 'errors' });
  const { port } = new URL(system.urls.at(-1) ?? '');
  const socket = connect(Number(port), '127.0.0.1');
  await new Promise((resolve) => socket.once('connect', resolve));
  socket.write('POST /api/accounts/with-account-creation-token HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{');
  await new Promise((resolve) => setTimeout(resolve, 100));
  // Without a farewell: a connection that is ended is answered still.
  socket.resetAndDestroy();
  const lines = await eventually(
    () => Promise.resolve(linesOf(web.output())),
    (seen) => seen.length > 0,
  );
  expect(lines.map(({ aborted, route }) => [aborted, route])).toEqual([[true, '/accounts/with-account-creation-token']]);
  await web.end();
});

test('off: none', async () => {
  expect(await linesWith('off', null)).toEqual([]);
});
