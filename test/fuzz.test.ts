// Generated requests against the real processes: a short run of what `npm run fuzz` does for long. And the checks themselves, which must see what is wrong.
import { bytesOf, type Seen } from '../bench/fuzz-transport';
import { Judge } from '../bench/fuzz-checks';
import { plainPlan, type Plan } from '../bench/fuzz-envelopes';
import { Generator } from '../bench/fuzz-requests';
import { Cast, readRows } from '../bench/fuzz-rows';
import { asShell, report, Run } from '../bench/fuzz-run';
import { startSurroundings, withoutTls, type FuzzTarget } from '../bench/fuzz-system';
import type { Json } from '../bench/fuzz-values';
import { testServers } from './setup/servers';
import { startSystem, type System } from './helpers/system';

const SEED = 20_260_131;
const REQUESTS = 4000;

const cleanups: (() => Promise<unknown>)[] = [];
const cast = new Cast();
let system: System;
let target: FuzzTarget;
let document: Json;

beforeAll(async () => {
  const { environment, ca, register } = await startSurroundings(testServers().directory, cast, {}, (cleanup) => cleanups.push(cleanup));
  system = await startSystem({ webs: 1, workers: 1, environment: withoutTls(environment) });
  await system.startWeb(environment);
  const [port, securePort] = system.urls.map((url) => Number(new URL(url).port)) as [number, number];
  target = { address: { port, securePort, ca }, db: system.db, register };
  document = (await (await fetch(`http://127.0.0.1:${port}/api/openapi.json`)).json()) as Json;
});
afterAll(async () => {
  await system.stop();
  for (const cleanup of cleanups.toReversed()) await cleanup();
});

const options = { requests: REQUESTS, seed: SEED, only: '', concurrency: 4, minutes: 5, say: () => undefined };

test('no answer is a fault, late, or other than declared; every endpoint succeeds for somebody', async () => {
  const run = await Run.open(target, cast, options);
  const outcome = await run.go();
  const said = report(outcome, SEED);
  expect([outcome.faults.map(({ kinds }) => kinds), outcome.unreached, outcome.faults.length > 0 ? said : '']).toEqual([[], [], '']);
  expect(outcome.requests).toBe(REQUESTS);
  const successes = [...outcome.endpoints.values()].reduce((sum, tally) => sum + tally.successes, 0);
  // Refusals alone would say little.
  expect(successes / REQUESTS).toBeGreaterThan(0.3);
  const logged = system.webs.flatMap((web) => web.output().split('\n')).filter((line) => line.includes('"level":50'));
  expect(logged).toEqual([]);
}, 180_000);

test('the same seed makes the same requests of the same rows, another one others', async () => {
  const rows = await readRows(system.db);
  const made = (seed: number): string[] => {
    const generator = new Generator(document, cast, seed);
    generator.know(rows);
    return Array.from({ length: 300 }, (_, index) => bytesOf(generator.plan(generator.draft(index))).toString('base64'));
  };
  const first = made(SEED);
  expect(made(SEED)).toEqual(first);
  const others = made(SEED + 1);
  expect(others.filter((text, index) => text === first[index]).length).toBeLessThan(150);
  expect(new Set(first).size).toBeGreaterThan(200);
});

describe('the checks see', () => {
  const plan = (method = 'GET', path = '/api/account_types', more: Partial<Plan> = {}): Plan => plainPlan(method, path, more);
  const seen = (status: number, body: unknown, more: Partial<Seen> = {}): Seen => ({
    status,
    headers: { 'content-type': 'application/json', 'x-request-id': '1' },
    body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
    ms: 3,
    ...more,
  });
  const faults = (asked: Plan, answer: Seen): string[] => new Judge(document).faultsOf(asked, answer);
  const error = { message: 'No.' };

  test('nothing where all is well', () => {
    expect(faults(plan(), seen(200, [{ id: 1, key: 'a' }]))).toEqual([]);
    expect(faults(plan(), seen(401, error))).toEqual([]);
    expect(faults(plan('HEAD'), seen(200, ''))).toEqual([]);
    expect(faults(plan('GET', '/api/nothing'), seen(404, error))).toEqual([]);
    expect(faults(plan(), seen(417, error))).toEqual([]);
    expect(faults(plan('GET', '/api/%zz'), seen(400, error))).toEqual([]);
    expect(faults(plan('POST', '/api/push_notification', { body: Buffer.from('{}') }), seen(503, error))).toEqual([]);
    expect(faults(plan('GET', '/provisioning/x'), seen(404, 'any text', { headers: { 'x-request-id': '1' } }))).toEqual([]);
    expect(faults(plan('GET', '/api/ping', { broken: true }), seen(0, '', { failure: 'closed' }))).toEqual([]);
  });

  const wrong: [string, Plan, Seen, RegExp][] = [
    ['a fault of the server', plan(), seen(500, error), /^status 500$/],
    ['503 where no provider was asked', plan(), seen(503, error), /^status 503$/],
    ['a page that fails', plan('GET', '/provisioning/me'), seen(500, ''), /^status 500$/],
    ['a late answer', plan(), seen(200, [], { ms: 5001 }), /^answered after 5 s/],
    ['an undeclared status', plan(), seen(418, error), /^status 418 is not declared$/],
    ['a success of no endpoint', plan('GET', '/api/nothing'), seen(200, {}), /^no endpoint, and yet 200$/],
    [
      'an undeclared content type',
      plan(),
      seen(200, [], { headers: { 'content-type': 'text/html', 'x-request-id': '1' } }),
      /^content type/,
    ],
    [
      'a charset that Linphone does not understand',
      plan(),
      seen(200, [], { headers: { 'content-type': 'application/json; charset=utf-8', 'x-request-id': '1' } }),
      /^content type/,
    ],
    ['no JSON', plan(), seen(200, '[{'), /^the body is no JSON$/],
    ['another type', plan(), seen(200, [{ id: '1', key: 'a' }]), /^body\/\*\/id: must be integer$/],
    ['a member that is missing', plan(), seen(200, [{ id: 1 }]), /required property 'key'/],
    ['a member that nobody declared', plan(), seen(200, [{ id: 1, key: 'a', secret: 1 }]), /^body\/\*\/secret is not declared$/],
    ['no id', plan(), seen(200, [], { headers: { 'content-type': 'application/json' } }), /^no x-request-id$/],
    ['a body for HEAD', plan('HEAD'), seen(200, '[]'), /^a body in answer to HEAD$/],
    ['a broken connection', plan(), seen(0, '', { failure: 'ECONNRESET' }), /^connection broken: ECONNRESET$/],
    ['half an answer', plan(), seen(200, '[', { failure: 'aborted' }), /^connection broken: aborted$/],
    [
      "a program's words",
      plan(),
      seen(400, { message: 'Unexpected token } in JSON at position 3' }),
      /^a program's words: «Unexpected token»$/,
    ],
    [
      "a database's words in a field's fault",
      plan('POST', '/api/account_types'),
      seen(422, { message: 'No.', errors: { key: ['invalid input syntax for type integer'] } }),
      /^a program's words: «invalid input syntax»$/,
    ],
    ['a text that was not filled in', plan(), seen(401, { message: 'At most {limit}.' }), /^not filled in/],
    ['an error without a message', plan(), seen(401, {}), /required property 'message'/],
  ];
  test.each(wrong)('%s', (_name, asked, answer, expected) => {
    expect(faults(asked, answer).filter((fault) => expected.test(fault))).toHaveLength(1);
  });

  test('what stands in the request may come back', () => {
    const asked = plan('GET', '/api/account_types', { headers: [['accept', 'undefined/{limit}']] });
    expect(faults(asked, seen(406, { message: 'undefined/{limit} is nothing.' }))).toEqual([]);
  });
});

test('a fault is told with its index, and as a line that sends it again', () => {
  const generator = new Generator(document, cast, SEED, 'POST /account_types');
  const made = generator.plan(generator.draft(0));
  expect(asShell({ ...made, transport: 'http1' })).toMatch(/^curl .* -X '\w+' --path-as-is .*"\$URL"'\/api\/account_types/);
  expect(asShell({ ...made, transport: 'raw' })).toMatch(/^printf %s [\w+/=]+ \| base64 -d \| nc /);
  expect(() => new Generator(document, cast, SEED, 'no such endpoint')).toThrow(TypeError);
});
