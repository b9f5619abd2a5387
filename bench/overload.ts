// More than the machine can do: 5,000 events at once over one HTTP/2 connection, as Flexisip sends them, to a web process that shares its core with a busy
// loop. All are to be stored, and a balancer that looks meanwhile is to be answered within 100 ms.
import { execFileSync, fork, spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { connect, type ClientHttp2Session } from 'node:http2';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { hashApiKey } from '../src/services/credentials/secrets';
import { makeCertificate } from '../test/helpers/pki';
import { Web } from './checkout';
import { preciseCpuMs, residentMb } from './cpu-time';
import type { Look } from './health-poller';
import { median } from './median';
import { say, type Servers } from './servers';

const EVENTS = 5000;
const ROUNDS = 3;
const DOMAIN = 'sip.example.org';
/** Of a process whose core is shared; the last one. */
const CORE = '1';
const WANTED_MS = 100;
/** After a round, for what it leaves behind to be collected. */
const REST_MS = 1000;

/** @returns its key */
async function makeAdmin({ db }: Web): Promise<string> {
  const key = randomBytes(20).toString('hex');
  await db.query('INSERT INTO spaces (domain, host, super, created_at, updated_at) VALUES ($1, $1, true, now(), now())', [DOMAIN]);
  const { rows } = await db.query<{ id: number }>(
    `INSERT INTO accounts (username, domain, admin, activated, ip_address, user_agent, created_at, updated_at)
     VALUES ('flexisip', $1, true, true, '192.0.2.1', 'bench', now(), now()) RETURNING id`,
    [DOMAIN],
  );
  await db.query('INSERT INTO api_keys (account_id, key, last_used_at) VALUES ($1, $2, now())', [rows[0]?.id, hashApiKey(key)]);
  return key;
}

/** @returns its status; 0 where the stream ended without one */
function report(session: ClientHttp2Session, key: string): Promise<number> {
  const body = JSON.stringify({ id: randomUUID(), from: `alice@${DOMAIN}`, sent_at: '2026-03-01T10:15:00Z', encrypted: false });
  return new Promise((resolve) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': '/api/statistics/messages',
      'x-api-key': key,
      'content-type': 'application/json',
      'content-length': body.length,
    });
    let status = 0;
    stream.on('response', (headers) => (status = Number(headers[':status'])));
    stream.on('close', () => resolve(status));
    stream.on('error', () => undefined);
    stream.resume();
    stream.end(body);
  });
}

/** Pins a process to one core, and has a busy loop share it. */
function shareCore(servers: Servers, pid: number): void {
  execFileSync('taskset', ['-a', '-c', '-p', CORE, String(pid)], { stdio: 'ignore' });
  const burner = spawn('taskset', ['-c', CORE, process.execPath, '-e', 'for (;;);'], { stdio: 'ignore' });
  servers.atEnd(() => Promise.resolve(burner.kill('SIGKILL')));
}

const counted = (values: readonly number[]): string =>
  [...new Set(values)].map((value) => `${value} × ${values.filter((other) => other === value).length}`).join(', ');

function lineOfLooks(looks: readonly Look[], isNew: boolean): string {
  const seen = looks.filter((look) => look.isNew === isNew);
  const times = seen.map(({ ms }) => ms);
  const worst = Math.max(...times);
  const name = isNew ? 'on a new connection' : 'on one that is open';
  return `  /health/ready ${name}: worst ${worst.toFixed(0)} ms${worst > WANTED_MS ? ' (!)' : ''}, median ${median(times).toFixed(1)} ms of ${seen.length}; statuses ${counted(seen.map(({ status }) => status))}`;
}

/** @returns lines to print */
export async function benchOverload(servers: Servers, directory: string): Promise<string[]> {
  const certificate = await makeCertificate(servers.directory);
  const [certFile, keyFile] = [path.join(servers.directory, 'cert.pem'), path.join(servers.directory, 'key.pem')];
  writeFileSync(certFile, certificate.cert);
  writeFileSync(keyFile, certificate.key);
  const web = await Web.start(servers, 'overloaded', directory, { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile });
  const pid = web.process.pid ?? 0;
  const key = await makeAdmin(web);
  const session = connect(`https://localhost:${web.port}`, { ca: certificate.cert });
  session.on('error', (error) => say(`the connection broke: ${error.message}`));
  servers.atEnd(() => Promise.resolve(session.destroy()));
  for (let n = 0; n < 200; n += 1) await report(session, key);
  shareCore(servers, pid);

  const lines: string[] = [];
  for (let round = 1; round <= ROUNDS; round += 1) {
    const poller = fork(path.join(__dirname, 'health-poller.js'), [String(web.port), certFile]);
    servers.atEnd(() => Promise.resolve(poller.kill()));
    await sleep(200);
    const [{ n: before } = { n: 0 }] = (await web.db.query<{ n: number }>('SELECT count(*)::int AS n FROM statistics_messages')).rows;
    const [memory, cpu, started] = [residentMb(pid), preciseCpuMs(pid), performance.now()];
    let peak = 0;
    const watching = setInterval(() => (peak = Math.max(peak, residentMb(pid))), 50);
    const statuses = await Promise.all(Array.from({ length: EVENTS }, () => report(session, key)));
    clearInterval(watching);
    const [ms, used] = [performance.now() - started, preciseCpuMs(pid) - cpu];
    const looks = new Promise<Look[]>((resolve) => poller.once('message', (message) => resolve(message as Look[])));
    poller.send('stop');
    const seen = await looks;
    await sleep(REST_MS);
    const [{ n: after } = { n: 0 }] = (await web.db.query<{ n: number }>('SELECT count(*)::int AS n FROM statistics_messages')).rows;
    lines.push(
      `round ${round}: ${EVENTS} events at once in ${(ms / 1000).toFixed(1)} s, ${(used / EVENTS).toFixed(3)} ms of CPU each: ${after - before} rows; statuses ${counted(statuses)}`,
      `  memory ${memory.toFixed(0)} MB before, ${peak.toFixed(0)} MB at its highest, ${residentMb(pid).toFixed(0)} MB after`,
      lineOfLooks(seen, false),
      lineOfLooks(seen, true),
    );
    say(lines.slice(-4).join('\n'));
  }
  session.close();
  return lines;
}
