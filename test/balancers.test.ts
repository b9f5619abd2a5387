// nginx and HAProxy with the files of deploy/ before two real `web`: what clients are told, what `web` sees of them, and that nothing is lost
// while both `web` are replaced one after the other.
import { randomUUID } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect as http2Connect } from 'node:http2';
import { connect as netConnect, type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as tlsConnect } from 'node:tls';
import { freePort } from '../src/start/ports';
import { haproxyBefore, nginxBefore, type Balancer } from './helpers/balancers';
import { Http2Client } from './helpers/http2';
import { makeCertificate, type Certificate } from './helpers/pki';
import { findProgram } from './helpers/programs';
import { eventually, request, SPACE, startProcess, startSystem, type Account, type Process, type System } from './helpers/system';
import { testServers } from './setup/servers';

const MAKERS = { nginx: nginxBefore, haproxy: haproxyBefore } as const;
type Name = keyof typeof MAKERS;
const installed = (Object.keys(MAKERS) as Name[]).flatMap((name) => {
  const executable = findProgram(name);
  return executable === undefined ? [] : [[name, executable] as const];
});
const withBalancers = installed.length === 0 ? describe.skip : describe;

/** More than nginx keeps an idle connection to `web` (its file: 5 s). The units have more. */
const DELAY_SECONDS = 6;

let certificate: Certificate;
beforeAll(async () => {
  certificate = await makeCertificate(mkdtempSync(`${testServers().directory}/balancers-`));
});

/** Those that run are in `balancers` also where one of them does not start. */
async function startAll(balancers: Map<Name, Balancer>, webs: [number, number]): Promise<void> {
  for (const [name, executable] of installed) {
    const balancer = await MAKERS[name](executable, certificate, webs);
    balancers.set(name, balancer);
    await balancer.start();
  }
}
const stopAll = (balancers: Map<Name, Balancer>): Promise<unknown> => Promise.all([...balancers.values()].map(({ stop }) => stop()));

withBalancers('before two web', () => {
  let system: System;
  let reporter: Account;
  let ports: [number, number];
  const webs: Process[] = [];
  const balancers = new Map<Name, Balancer>();
  const balancerOf = (name: Name): Balancer => balancers.get(name) as Balancer;
  const open = (name: Name): Http2Client => new Http2Client(`https://localhost:${balancerOf(name).port}`, certificate.cert);

  /** As the units start it. */
  const startWeb = (port: number): Promise<Process> =>
    startProcess(
      'src/web.js',
      { ...system.environment, PORT: String(port), TRUST_PROXY: '1', SHUTDOWN_DELAY_SECONDS: String(DELAY_SECONDS) },
      /web listens/,
    );
  const isReady = (port: number): Promise<number> => request(`http://127.0.0.1:${port}/health/ready`).then(({ status }) => status);

  beforeAll(async () => {
    system = await startSystem({ webs: 0, workers: 0 });
    reporter = await system.account('flexisip', { admin: true });
    ports = [await freePort(), await freePort()];
    for (const port of ports) webs.push(await startWeb(port));
    await startAll(balancers, ports);
  }, 180_000);
  afterAll(async () => {
    await stopAll(balancers);
    await Promise.all(webs.map((web) => web.end('SIGKILL')));
    await system.stop();
  });

  describe.each(installed.map(([name]) => name))('%s', (name) => {
    test('takes the file', async () => {
      expect(await balancerOf(name).check()).toMatchObject({ code: 0, output: expect.not.stringMatching(/\[?(warn|alert|emerg)/i) });
    });

    test('speaks HTTP/2 and HTTP/1.1 over TLS, and sends there whoever does not', async () => {
      const { port, plainPort } = balancerOf(name);
      for (const protocol of ['h2', 'http/1.1']) {
        const agreed = await new Promise((resolve, reject) => {
          const socket = tlsConnect(
            { port, host: '127.0.0.1', servername: 'localhost', ca: certificate.cert, ALPNProtocols: [protocol] },
            () => {
              resolve(socket.alpnProtocol);
              socket.destroy();
            },
          );
          socket.on('error', reject);
        });
        expect(agreed).toBe(protocol);
      }
      const plain = await fetch(`http://localhost:${plainPort}/api/ping?a=b`, { redirect: 'manual' });
      expect([plain.status, plain.headers.get('location')?.replace(/:\d+/, '')]).toEqual([308, 'https://localhost/api/ping?a=b']);
    });

    test('hands on the client’s address and host, whatever the client says of them', async () => {
      await system.space(`gone-${name}.example.org`, { expireAt: new Date(Date.now() - 1000) });
      const bound = await system.account(`bound-${name}`, { ip: '127.0.0.9' });
      /** From an address of its own. */
      const ask = (localAddress: string, headers: Record<string, string>): Promise<number> =>
        new Promise((resolve, reject) => {
          const { port } = balancerOf(name);
          const session = http2Connect(`https://localhost:${port}`, {
            createConnection: () =>
              tlsConnect({
                socket: netConnect({ port, host: '127.0.0.1', localAddress }),
                servername: 'localhost',
                ca: certificate.cert,
                ALPNProtocols: ['h2'],
              }),
          });
          session.on('error', reject);
          const stream = session.request({ ':path': '/api/accounts/me', 'x-api-key': bound.key, ...headers });
          stream.on('response', ({ ':status': status }) => {
            resolve(Number(status));
            session.destroy();
          });
          stream.on('error', reject);
          stream.end();
        });
      expect(await ask('127.0.0.9', {})).toBe(200);
      expect(await ask('127.0.0.9', { 'x-forwarded-for': '192.0.2.7', 'x-forwarded-host': `gone-${name}.example.org` })).toBe(200);
      expect(await ask('127.0.0.8', { 'x-forwarded-for': '127.0.0.9', forwarded: 'for=127.0.0.9' })).toBe(401);
      expect(await ask('127.0.0.9', { ':authority': `gone-${name}.example.org` })).toBe(403);
    });

    test('hands on paths as they are, and answers as web gives them', async () => {
      const client = open(name);
      const headers = { 'x-api-key': reporter.key };
      const id = randomUUID();
      const message = { id, from: `alice@${SPACE}`, sent_at: '2026-03-01T10:15:00Z', encrypted: false, conference_id: null };
      const posted = await client.request('POST', '/api/statistics/messages', headers, JSON.stringify(message));
      expect([posted.status, posted.text]).toEqual([200, '{}']);
      expect(posted.headers['strict-transport-security']).toBe('max-age=31536000');
      for (const device of [`"<urn:uuid:${id}>"`, '%22%3Ca%2Fb%3E%22']) {
        const body = JSON.stringify({ last_status: 200, received_at: '2026-03-01T10:15:01Z' });
        const patched = await client.request('PATCH', `/api/statistics/messages/${id}/to/bob@other.org/devices/${device}`, headers, body);
        expect([device, patched.status]).toEqual([device, 201]);
      }
      const devices = await system.rows<{ device_id: string }>('SELECT device_id FROM statistics_message_devices WHERE message_id = $1', [
        id,
      ]);
      expect(devices.map((row) => row.device_id).sort()).toEqual(['"<a/b>"', `"<urn:uuid:${id}>"`]);
      // More than `web` takes is refused in its words.
      const large = await client.request('POST', '/api/accounts/auth_token', {}, JSON.stringify({ x: 'x'.repeat(1_100_000) }));
      expect([large.status, large.headers['content-type']]).toEqual([413, 'application/json']);
      client.close();
    });

    test('shows nobody metrics and health', async () => {
      const client = open(name);
      for (const path of ['/metrics', '/health/ready', '/health/live'])
        expect([path, (await client.request('GET', path)).status]).toEqual([path, 404]);
      expect((await client.request('GET', '/api/ping')).status).toBe(200);
      client.close();
    });

    test('keeps Flexisip’s connection beyond a thousand requests', async () => {
      const client = open(name);
      const ping = (): Promise<number> => client.request('GET', '/api/ping').then(({ status }) => status);
      for (let round = 0; round < 12; round += 1)
        expect(new Set(await Promise.all(Array.from({ length: 100 }, ping)))).toEqual(new Set([200]));
      expect([client.goaways, client.session.destroyed]).toEqual([0, false]);
      client.close();
    });
  });

  test('both web are replaced one after the other, and one is killed: every event is stored, none is answered 5xx, no connection ends', async () => {
    /** What is sent through one balancer for as long as it takes. */
    interface Load {
      sent: string[];
      statuses: Record<string, number>;
      failures: string[];
    }
    let over = false;
    const count = (load: Load, status: number): void => void (load.statuses[status] = (load.statuses[status] ?? 0) + 1);
    const loads = new Map<Name, Load>(installed.map(([name]) => [name, { sent: [], statuses: {}, failures: [] }]));
    const clients = new Map(installed.map(([name]) => [name, open(name)]));

    /** Flexisip: a message and its device, on one connection. */
    async function report(name: Name, load: Load): Promise<void> {
      const client = clients.get(name) as Http2Client;
      const headers = { 'x-api-key': reporter.key };
      while (!over) {
        const id = randomUUID();
        load.sent.push(id);
        const message = { id, from: `alice@${SPACE}`, sent_at: '2026-03-02T10:15:00Z', encrypted: false, conference_id: null };
        const device = { last_status: 200, received_at: '2026-03-02T10:15:01Z' };
        try {
          count(load, (await client.request('POST', '/api/statistics/messages', headers, JSON.stringify(message))).status);
          const path = `/api/statistics/messages/${id}/to/bob@other.org/devices/"<urn:uuid:${id}>"`;
          count(load, (await client.request('PATCH', path, headers, JSON.stringify(device))).status);
        } catch (error) {
          load.failures.push(String(error));
        }
        // Phones do not send as fast as they can, and idle connections are a part of what may go wrong.
        await sleep(10);
      }
    }
    /** An app: a connection for each request. */
    async function ask(name: Name, load: Load): Promise<void> {
      while (!over) {
        await new Promise<void>((resolve) => {
          const asked = httpsRequest(
            { port: balancerOf(name).port, host: 'localhost', ca: certificate.cert, path: '/api/ping', agent: false },
            (answer) => {
              count(load, answer.statusCode ?? 0);
              answer.resume();
              answer.on('end', resolve);
            },
          );
          asked.on('error', (error) => {
            load.failures.push(error.message);
            resolve();
          });
          asked.end();
        });
        await sleep(20);
      }
    }
    const running = [...loads].flatMap(([name, load]) => [...Array.from({ length: 8 }, () => report(name, load)), ask(name, load)]);
    const sent = (): number => Math.min(...[...loads.values()].map((load) => load.sent.length));
    await eventually(
      () => Promise.resolve(sent()),
      (events) => events > 200,
      60,
    );

    for (const which of [0, 1] as const) {
      const ended = (webs[which] as Process).end('SIGTERM');
      // Balancers hear of it before it stops to accept.
      await eventually(
        () => isReady(ports[which]),
        (status) => status === 503,
      );
      expect(await ended).toBe(0);
      webs[which] = await startWeb(ports[which]);
      await eventually(
        () => isReady(ports[which]),
        (status) => status === 200,
      );
    }
    // Nor where one is killed.
    await webs[0]?.end('SIGKILL');
    const before = sent();
    await eventually(
      () => Promise.resolve(sent()),
      (events) => events > before + 200,
      60,
    );
    // A message and its device are two events.
    await eventually(
      () => Promise.resolve(sent()),
      (events) => events > 1200,
      60,
    );
    over = true;
    await Promise.all(running);

    for (const [name, { sent: ids, statuses, failures }] of loads) {
      process.stderr.write(`${name}: ${2 * ids.length} events, answers ${JSON.stringify(statuses)}\n`);
      expect([name, failures]).toEqual([name, []]);
      // 400: what a `web` had stored and could not answer for was sent to the other one, which has it already.
      expect([name, Object.keys(statuses).filter((status) => !['200', '201', '400'].includes(status))]).toEqual([name, []]);
      const [stored] = await system.rows<{ messages: number; devices: number }>(
        `SELECT (SELECT count(*)::int FROM statistics_messages WHERE id = ANY ($1)) AS messages,
                (SELECT count(*)::int FROM statistics_message_devices WHERE message_id = ANY ($1)) AS devices`,
        [ids],
      );
      expect([name, stored]).toEqual([name, { messages: ids.length, devices: ids.length }]);
      expect([name, clients.get(name)?.goaways]).toEqual([name, 0]);
    }
    for (const client of clients.values()) client.close();
  }, 240_000);
});

withBalancers('before a web that dies with a request', () => {
  const servers: Server[] = [];
  const asked: string[] = [];
  let isReady = true;
  let readyAsked = 0;
  const balancers = new Map<Name, Balancer>();

  beforeAll(async () => {
    for (let index = 0; index < 2; index += 1) {
      const server = createServer((incoming, response) => {
        const { url = '' } = incoming;
        if (url === '/health/ready') {
          readyAsked += 1;
          response.writeHead(isReady ? 200 : 503).end();
        } else if (url === '/health/live' || url === '/alive') response.end();
        else {
          asked.push(`${incoming.method} ${incoming.url}`);
          incoming.socket.destroy();
        }
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      servers.push(server);
    }
    await startAll(balancers, servers.map((server) => (server.address() as AddressInfo).port) as [number, number]);
  });
  afterAll(async () => {
    await stopAll(balancers);
    for (const server of servers) server.close();
  });

  test.each(installed.map(([name]) => name))('%s sends nothing twice but what may come twice', async (name) => {
    const ask = async (method: string, path: string): Promise<string[]> => {
      asked.length = 0;
      const session = http2Connect(`https://localhost:${balancers.get(name)?.port}`, { ca: certificate.cert });
      const status = await new Promise((resolve) => {
        const stream = session.request({ ':method': method, ':path': path, 'content-type': 'application/json' });
        stream.on('response', (headers) => resolve(headers[':status']));
        stream.on('error', (error) => resolve(error.message));
        stream.end(method === 'GET' ? undefined : '{}');
      });
      session.destroy();
      expect([502, 'Stream closed with error code NGHTTP2_REFUSED_STREAM']).toContain(status);
      return [...asked];
    };
    expect(await ask('POST', '/api/account_creation_tokens/send-by-push')).toHaveLength(1);
    expect(await ask('PATCH', '/api/api_keys/1')).toHaveLength(1);
    expect((await ask('POST', '/api/statistics/messages')).length).toBeGreaterThanOrEqual(2);
  });

  test.each(installed.map(([name]) => name))('%s asks those that live where none is ready', async (name) => {
    isReady = false;
    const before = readyAsked;
    // Two refusals of each take a `web` out of HAProxy; nginx asks nobody.
    const refusals = name === 'haproxy' ? 6 : 0;
    await eventually(
      () => Promise.resolve(readyAsked - before),
      (times) => times >= refusals,
    );
    const session = http2Connect(`https://localhost:${balancers.get(name)?.port}`, { ca: certificate.cert });
    const status = await new Promise((resolve, reject) => {
      const stream = session.request({ ':path': '/alive' });
      stream.on('response', (headers) => resolve(headers[':status']));
      stream.on('error', reject);
    });
    session.destroy();
    isReady = true;
    expect(status).toBe(200);
  });
});
