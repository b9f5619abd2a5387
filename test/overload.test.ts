// More than a machine can do: what Flexisip reports waits and is stored, other requests are refused early, and who looks whether the server is well is
// answered. How soon is measured in bench/overload.ts.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { Agent, request as httpsRequest } from 'node:https';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { context } from '../src/infra/context';
import { DatabaseTime } from '../src/infra/database-time';
import { inLine, isOverloaded, PoolLine } from '../src/infra/overload';
import { Http2Client } from './helpers/http2';
import { makeCertificate, type Certificate } from './helpers/pki';
import { testServers } from './setup/servers';
import { eventually, request, SPACE, startSystem, type Account, type Answer, type System } from './helpers/system';

const EVENTS = 5000;

let system: System;
let admin: Account;
let certificate: Certificate;
let burner: ChildProcess | undefined;

beforeAll(async () => {
  const directory = mkdtempSync(path.join(testServers().directory, 'overload-'));
  certificate = await makeCertificate(directory);
  const [certFile, keyFile] = [path.join(directory, 'cert.pem'), path.join(directory, 'key.pem')];
  writeFileSync(certFile, certificate.cert);
  writeFileSync(keyFile, certificate.key);
  system = await startSystem({ webs: 0, workers: 0 });
  await system.startWeb({ TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile });
  await system.startWeb({ DATABASE_POOL_SIZE: '2' });
  admin = await system.account('flexisip', { admin: true });
});
afterAll(async () => {
  await system.stop();
});

/** A session that holds a table until it is ended. */
async function lock(table: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: system.environment['DATABASE_URL'] });
  await client.connect();
  await client.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
  return client;
}

/** How often each value is there. */
function counted(values: readonly number[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
}

describe('5,000 events at once over one connection, to a process that shares its core with a busy loop', () => {
  let client: Http2Client;
  let port: string;
  beforeAll(() => {
    port = new URL(system.urls[0] ?? '').port;
    client = new Http2Client(`https://localhost:${port}`, certificate.cert);
    const pid = String(system.webs[0]?.child.pid);
    // Where there is no taskset the loop takes what it gets.
    const isPinned = process.platform === 'linux';
    if (isPinned) execFileSync('taskset', ['-a', '-c', '-p', '0', pid], { stdio: 'ignore' });
    const loop = [process.execPath, '-e', 'for (;;);'];
    const [command = '', ...rest] = isPinned ? ['taskset', '-c', '0', ...loop] : loop;
    burner = spawn(command, rest, { stdio: 'ignore' });
  });
  afterAll(() => {
    client.close();
    burner?.kill('SIGKILL');
  });

  const report = async (id: string): Promise<number> => {
    const body = JSON.stringify({ id, from: `alice@${SPACE}`, sent_at: '2026-03-01T10:15:00Z', encrypted: false });
    return (await client.request('POST', '/api/statistics/messages', { 'x-api-key': admin.key }, body)).status;
  };

  /** A balancer's look, on a connection of its own. */
  const look = (): Promise<number> =>
    new Promise((resolve, reject) => {
      const agent = new Agent({ ca: certificate.cert });
      const asked = httpsRequest({ agent, host: '127.0.0.1', servername: 'localhost', port, path: '/health/ready' }, (response) =>
        response.resume().once('end', () => resolve(response.statusCode ?? 0)),
      );
      asked.once('error', reject);
      asked.end();
    });

  test('are all stored, and /health/ready is answered meanwhile', async () => {
    const ids = Array.from({ length: EVENTS }, () => randomUUID());
    const looks: number[] = [];
    let isOver = false;
    const balancer = (async () => {
      while (!isOver) {
        looks.push(await look());
        await sleep(100);
      }
    })();
    const statuses = await Promise.all(ids.map(report));
    isOver = true;
    await balancer;
    expect(counted(statuses)).toEqual({ 200: EVENTS });
    const rows = await system.rows<{ id: string }>('SELECT id FROM statistics_messages');
    expect(rows.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
    expect(Object.keys(counted(looks))).toEqual(['200']);
    // A few at a time, whatever the client has: nothing of the rest is in the server's memory.
    expect(client.session.remoteSettings.maxConcurrentStreams).toBe(100);
  }, 180_000);

  test('a table that is locked for a while holds them up, and loses none', async () => {
    // Longer than a request may wait, and than a lock is waited for in the first statement of them.
    const ids = Array.from({ length: 300 }, () => randomUUID());
    const holder = await lock('statistics_message_keys');
    const statuses = Promise.all(ids.map(report));
    await sleep(1500);
    await holder.end();
    expect(counted(await statuses)).toEqual({ 200: 300 });
  }, 60_000);
});

describe('the line of requests', () => {
  /** Keeps the process from all else. */
  const work = (ms: number): void => {
    for (const end = performance.now() + ms; performance.now() < end;);
  };
  const turn = (): Promise<unknown> => new Promise((resolve) => setImmediate(resolve));
  /** Lets requests come. @returns in the order in which they were begun, whether each was refused */
  const come = (begun: [name: string, isRefused: boolean][], names: string[], ms: number): void => {
    for (const name of names) {
      const asked = { name };
      inLine(asked, () => {
        begun.push([name, isOverloaded(asked)]);
        if (!isOverloaded(asked)) work(ms);
      });
    }
  };
  const named = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, n) => `${prefix}${n}`);

  test('a burst is served, however long it takes; who comes behind one who has waited too long is refused before him; then all are served', async () => {
    const begun: [string, boolean][] = [];
    come(begun, named('burst-', 30), 80);
    // A few of them now, so that whoever looks meanwhile is answered.
    expect(begun.length).toBeLessThan(10);
    while (begun.length < 20) await turn();
    come(begun, ['late'], 0);
    while (begun.length < 31) await turn();
    expect(begun.findIndex(([name]) => name === 'late')).toBeLessThan(25);
    expect(begun.filter(([name, isRefused]) => isRefused !== (name === 'late'))).toEqual([]);
    expect(begun.map(([name]) => name).filter((name) => name !== 'late')).toEqual(named('burst-', 30));
    come(begun, ['after'], 0);
    expect(begun.at(-1)).toEqual(['after', false]);
  });

  test('who asks again when he is answered is served, also where the machine can do no more', async () => {
    const begun: [string, boolean][] = [];
    const client = async (): Promise<void> => {
      for (let n = 0; n < 10; n += 1) await new Promise<void>((resolve) => inLine({}, () => (work(1), begun.push(['', false]), resolve())));
    };
    await Promise.all(Array.from({ length: 64 }, client));
    come(begun, ['after'], 0);
    expect([begun.length, begun.at(-1)]).toEqual([641, ['after', false]]);
  });
});

describe('the line before a pool', () => {
  const asRequest = <T>(ask: () => Promise<T>, isPatient = false): Promise<T> =>
    context.run({ request_id: 'x', databaseTime: Object.assign(new DatabaseTime(), { isPatient }) }, ask);

  test('refuses a request behind one who has waited too long, and neither a report nor work of no request', async () => {
    const line = new PoolLine();
    let free: (() => void) | undefined;
    const first = asRequest(() => line.wait(() => new Promise<string>((resolve) => (free = () => resolve('first')))));
    const next = (name: string) => (): Promise<string> => line.wait(() => Promise.resolve(name));
    expect(await asRequest(next('in a burst'))).toBe('in a burst');
    await sleep(1100);
    await expect(asRequest(next('refused'))).rejects.toMatchObject({ status: 503, text: { key: 'server.overloaded' } });
    expect(await Promise.all([asRequest(next('report'), true), next('background')()])).toEqual(['report', 'background']);
    free?.();
    expect([await first, await asRequest(next('after'))]).toEqual(['first', 'after']);
  });
});

describe('other requests', () => {
  const me = (): Promise<Answer> => request(`${system.urls[1]}/api/accounts/${admin.id}`, { key: admin.key });
  /** Statements of the program that wait for a lock. */
  const waiting = async (): Promise<number> =>
    (
      await system.rows<{ n: number }>(
        "SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name = 'flexisip-account-api'",
      )
    )[0]?.n ?? 0;

  test('are refused at once behind others that have waited too long for a connection, and served when there is one', async () => {
    expect((await me()).status).toBe(200);
    const holder = await lock('passwords');
    // The pool has two connections; the third of these waits for one of them.
    const before = Promise.all([me(), me(), me()]);
    await eventually(waiting, (n) => n === 2);
    await sleep(1300);
    const refused = await me();
    const stillWaiting = await waiting();
    expect([refused.status, refused.headers.get('retry-after'), refused.json['message']]).toEqual([
      503,
      '5',
      'The server is overloaded. Try again in a moment.',
    ]);
    // Before anybody of those who were there had an answer: it did not wait for them.
    expect(stillWaiting).toBe(2);
    // What needs no connection is done.
    expect((await request(`${system.urls[1]}/api/ping`)).status).toBe(200);
    expect((await request(`${system.urls[1]}/health/ready`)).status).toBe(200);
    await holder.end();
    expect((await before).map(({ status }) => status)).toEqual([200, 200, 200]);
    expect((await me()).status).toBe(200);
  });
});
