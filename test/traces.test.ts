// Traces: off where no collector is named, one trace from the request through the job to the provider where one is, and nothing of a person in it.
import { execFile } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import { startOutsideWorld, type OutsideWorld } from './helpers/outside';
import { eventually, request, startSystem, type System } from './helpers/system';

interface OtlpAttribute {
  key: string;
  value: { stringValue?: string; intValue?: number };
}
interface OtlpSpan {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  kind: number;
  attributes: OtlpAttribute[];
  events?: unknown[];
  status: { code?: number; message?: string };
}
interface Traces {
  resourceSpans: { resource: { attributes: OtlpAttribute[] }; scopeSpans: { spans: OtlpSpan[] }[] }[];
}
/** With what its process is called. */
type Span = OtlpSpan & { service: string | undefined };

/** Of OTLP. */
const KINDS = { internal: 1, server: 2, client: 3, producer: 4, consumer: 5 };

/** The collector: all that it was sent, and whether it answers. */
const bodies: string[] = [];
const paths = new Set<string>();
const spans: Span[] = [];
let hangs = false;
let collector: Server;
let endpoint = '';
let world: OutsideWorld;
let system: System;

const valueOf = (attributes: OtlpAttribute[], name: string): string | number | undefined => {
  const { value } = attributes.find(({ key }) => key === name) ?? {};
  return value?.stringValue ?? value?.intValue;
};

function keep(text: string): void {
  bodies.push(text);
  for (const { resource, scopeSpans } of (JSON.parse(text) as Traces).resourceSpans) {
    const service = valueOf(resource.attributes, 'service.name') as string | undefined;
    for (const span of scopeSpans.flatMap((scope) => scope.spans)) spans.push({ ...span, service });
  }
}

beforeAll(async () => {
  collector = createServer((asked, response) => {
    let text = '';
    asked.on('data', (chunk: Buffer) => (text += chunk.toString()));
    asked.on('end', () => {
      paths.add(asked.url ?? '');
      if (hangs) return;
      keep(text);
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
  endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
  world = await startOutsideWorld();
  system = await startSystem({ environment: { ...world.environment, OTEL_EXPORTER_OTLP_ENDPOINT: endpoint } });
}, 120_000);
afterAll(async () => {
  await system.stop();
  await world.close();
  collector.closeAllConnections();
  collector.close();
});

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';
const traceparent = `00-${TRACE}-${PARENT}-01`;
const prid = 'ab'.repeat(32);

/** Spans of a trace once they are all there. */
const trace = (id: string, count: number): Promise<Span[]> =>
  eventually(
    () => Promise.resolve(spans.filter(({ traceId }) => traceId === id)),
    ({ length }) => length >= count,
  );

/** That of a kind whose name matches; its parents up to the root follow. */
function ancestry(of: Span[], kind: number, name: RegExp): Span[] {
  const line = of.filter((span) => span.kind === kind && name.test(span.name)).slice(-1);
  for (;;) {
    const parent = of.find(({ spanId }) => spanId === line.at(-1)?.parentSpanId);
    if (!parent) return line;
    line.push(parent);
  }
}

test('a push: the request is part of the trace that it names, the job of the request, and the provider of the job', async () => {
  const body = { pn_provider: 'apns.dev', pn_param: 'TEAMID1234.org.linphone.phone', pn_prid: prid };
  const headers = { traceparent, tracestate: 'secret=state', baggage: 'secret=baggage', 'x-request-id': 'the-request' };
  const { status } = await system.api('/account_creation_tokens/send-by-push', { method: 'POST', body, headers });
  expect(status).toBe(200);
  await eventually(
    () => Promise.resolve(spans.filter(({ traceId, kind }) => traceId === TRACE && [2, 3, 4, 5].includes(kind))),
    ({ length }) => length >= 4,
  );
  const found = await trace(TRACE, 4);
  const line = ancestry(found, KINDS.client, /^send by apns\.dev$/);
  expect(line.map(({ kind, service }) => [kind, service])).toEqual([
    [KINDS.client, 'flexiapi-worker'],
    [KINDS.consumer, 'flexiapi-worker'],
    [KINDS.producer, 'flexiapi-web'],
    [KINDS.server, 'flexiapi-web'],
  ]);
  const [provider, consumer, , server] = line;
  expect(server).toMatchObject({ name: 'POST /account_creation_tokens/send-by-push', parentSpanId: PARENT });
  expect(valueOf(server?.attributes ?? [], 'http.response.status_code')).toBe(200);
  expect(valueOf(server?.attributes ?? [], 'flexiapi.request_id')).toBe('the-request');
  expect(valueOf(provider?.attributes ?? [], 'flexiapi.outcome')).toBe('sent');
  expect(valueOf(consumer?.attributes ?? [], 'bullmq.job.id')).toMatch(/^push-/);
});

test('a provider that speaks HTTP/1.1 is told the trace; what fails is marked', async () => {
  world.fcm.mode = 400;
  const body = { pn_provider: 'fcm', pn_param: 'linphone-test', pn_prid: 'token-of-a-device' };
  const id = 'a'.repeat(32);
  const headers = { traceparent: `00-${id}-${PARENT}-01` };
  expect((await system.api('/account_creation_tokens/send-by-push', { method: 'POST', body, headers })).status).toBe(503);
  const found = await eventually(
    () => Promise.resolve(spans.filter(({ traceId }) => traceId === id)),
    (all) => all.some(({ kind }) => kind === KINDS.server) && all.some(({ kind }) => kind === KINDS.client),
  );
  const [provider] = ancestry(found, KINDS.client, /^send by fcm$/);
  expect(world.fcm.received.at(-1)?.headers['traceparent']).toBe(`00-${id}-${provider?.spanId}-01`);
  for (const kind of [KINDS.client, KINDS.server]) expect(found.find((span) => span.kind === kind)?.status).toEqual({ code: 2 });
});

test('whoever says that its trace is not kept has none, and one that is none begins a new one', async () => {
  const id = 'b'.repeat(32);
  await system.api('/ping', { headers: { traceparent: `00-${id}-${PARENT}-00` } });
  await system.api('/ping', { headers: { traceparent: 'nonsense', 'x-request-id': 'after-nonsense' } });
  const found = await eventually(
    () => Promise.resolve(spans.find(({ attributes }) => valueOf(attributes, 'flexiapi.request_id') === 'after-nonsense')),
    (span) => span !== undefined,
  );
  expect(found?.parentSpanId ?? '').toBe('');
  expect(spans.filter(({ traceId }) => traceId === id)).toEqual([]);
});

test('nothing that a person is known by, and nothing that a stranger wrote, is in a trace; neither are metrics or logs sent', async () => {
  const phone = '+33612345678';
  const { id, key } = await system.account('person-of-traces');
  await system.rows('UPDATE accounts SET phone = $2 WHERE id = $1', [id, phone]);
  await system.rows("UPDATE phone_countries SET activated = true WHERE code = 'FR'");
  await system.rows("INSERT INTO account_creation_tokens (token, used, account_id) VALUES ('used-for-traces', true, $1)", [id]);
  const asked = await system.api('/accounts/me/email/request', { method: 'POST', key, body: { email: 'person@example.net' } });
  expect([asked.status, asked.text]).toEqual([200, asked.text]);
  const called = await system.api('/accounts/me/phone/request', { method: 'POST', key, body: { phone: '+33687654321' } });
  expect([called.status, called.text]).toEqual([200, called.text]);
  await system.api('/accounts/sip:person-of-traces@sip.example.org/info', { key });
  await request(`${system.url}/secret-of-a-path?secret=query`, {
    headers: { 'user-agent': 'secret-agent', 'x-forwarded-for': '203.0.113.7' },
  });
  await eventually(
    () => Promise.resolve(spans.filter(({ kind }) => kind === KINDS.client).map(({ name }) => name)),
    (names) => names.some((name) => name === 'send by smtp'),
  );
  await system.api('/ping', { headers: { 'x-request-id': 'the-last-one' } });
  await eventually(
    () => Promise.resolve(bodies.join('\n')),
    (all) => all.includes('the-last-one'),
  );
  const all = bodies.join('\n');
  for (const word of [
    prid,
    'token-of-a-device',
    'secret',
    'person',
    '612345678',
    '687654321',
    'example.net',
    'localhost',
    '127.0.0.1',
    '203.0.113.7',
    key,
  ])
    expect([word, all.includes(word)]).toEqual([word, false]);
  expect(spans.every(({ events = [], status: { message = '' } }) => events.length === 0 && message === '')).toBe(true);
  expect([...paths]).toEqual(['/v1/traces']);
  // BullMQ's looks for jobs are no traces.
  expect(spans.filter(({ parentSpanId = '', kind }) => parentSpanId === '' && kind === KINDS.internal)).toEqual([]);
});

test('a collector that hangs holds up neither requests nor the end of a process', async () => {
  hangs = true;
  try {
    for (let round = 0; round < 20; round += 1) {
      const began = performance.now();
      expect((await system.api('/ping')).status).toBe(200);
      expect(performance.now() - began).toBeLessThan(2000);
    }
    const more = await system.startWorker();
    const web = await system.startWeb();
    await request(`${system.urls.at(-1)}/api/ping`);
    const began = performance.now();
    expect(await Promise.all([more.end(), web.end()])).toEqual([0, 0]);
    expect(performance.now() - began).toBeLessThan(8000);
    system.urls.pop();
  } finally {
    hangs = false;
  }
});

test('nothing of OpenTelemetry is loaded where no collector is named', async () => {
  // Its API alone is: prom-client does so.
  const loaded = async (file: string, environment: Record<string, string>): Promise<number> => {
    const script = `
      require(${JSON.stringify(path.join(__dirname, '..', 'dist', file))});
      setTimeout(() => { process.stdout.write('loaded:' + Object.keys(require.cache).filter((name) => /@opentelemetry.(?!api.)|bullmq-otel/.test(name)).length); process.exit(0); }, 3000);`;
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', script], {
      cwd: path.join(__dirname, 'setup'),
      env: { PATH: process.env['PATH'] ?? '', ...system.environment, PORT: '0', LOG_LEVEL: 'silent', ...environment },
    });
    return Number(/loaded:(\d+)/.exec(stdout)?.[1]);
  };
  for (const file of ['src/web.js', 'workers/main.js']) {
    expect([file, await loaded(file, { OTEL_EXPORTER_OTLP_ENDPOINT: '' })]).toEqual([file, 0]);
    expect((await loaded(file, {})) > 0).toBe(true);
  }
}, 120_000);
