// REDIS_URL in its other forms: a Cluster, and a Sentinel in front of a server.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Redis } from 'ioredis';
import { freePort } from '../src/start/ports';
import { eventually, startSystem } from './helpers/system';
import { testServers } from './setup/servers';

const servers: ChildProcess[] = [];
afterAll(() => {
  for (const server of servers) server.kill('SIGKILL');
});

const binary = ['redis-server', 'valkey-server'].find((name) => spawnSync(name, ['--version']).status === 0) ?? 'redis-server';

async function serve(port: number, lines: string[], parameters: string[] = []): Promise<Redis> {
  const directory = mkdtempSync(path.join(testServers().directory, 'mode-'));
  const file = path.join(directory, 'redis.conf');
  writeFileSync(file, [`port ${port}`, 'bind 127.0.0.1', `dir ${directory}`, ...lines].join('\n'));
  servers.push(spawn(binary, [file, ...parameters], { stdio: 'ignore' }));
  const client = new Redis({ port, host: '127.0.0.1', disconnectTimeout: 100 });
  client.on('error', () => undefined);
  await eventually(
    () => client.ping().catch(() => ''),
    (answer) => answer === 'PONG',
  );
  return client;
}

/** A job goes to a worker and its result comes back. */
async function roundTrip(redisUrl: string): Promise<void> {
  const system = await startSystem({ environment: { REDIS_URL: redisUrl, RATE_LIMIT_PER_MINUTE: '600' } });
  const asked = await system.api('/account_creation_tokens/send-by-push', {
    method: 'POST',
    body: { pn_provider: 'fcm', pn_param: 'p', pn_prid: 'd' },
  });
  expect(asked.json['message']).toBe('Push notifications of this kind are not configured on this server.');
  expect(asked.headers.get('x-ratelimit-remaining')).toBe('599');
  expect((await fetch(`${system.url}/health/ready`)).status).toBe(200);
  const metrics = await (await fetch(`${system.url}/metrics`)).text();
  expect(metrics).toContain('flexiapi_queue_jobs{queue="push",state="failed"} 1');
  expect(metrics).toContain('flexiapi_queue_workers{queue="push"} 1');
  await system.stop();
}

test('a Redis Cluster', async () => {
  const ports = [await freePort(), await freePort()] as const;
  const [first, second] = await Promise.all(
    ports.map((port) => serve(port, ['cluster-enabled yes', 'cluster-require-full-coverage no', 'save ""'])),
  );
  await first?.call('CLUSTER', 'ADDSLOTSRANGE', 0, 8191);
  await second?.call('CLUSTER', 'ADDSLOTSRANGE', 8192, 16383);
  await second?.call('CLUSTER', 'SET-CONFIG-EPOCH', 2);
  await first?.call('CLUSTER', 'MEET', '127.0.0.1', ports[1]);
  for (const node of [first, second])
    await eventually(
      async () => String(await node?.call('CLUSTER', 'INFO')),
      (info) => /cluster_state:ok[\s\S]*cluster_known_nodes:2/.test(info),
      30,
    );
  await eventually(
    async () => String(await first?.call('CLUSTER', 'INFO')),
    (info) => info.includes('cluster_slots_assigned:16384'),
    30,
  );
  await roundTrip(ports.map((port) => `redis://127.0.0.1:${port}`).join(','));
  first?.disconnect();
  second?.disconnect();
});

test('a Sentinel', async () => {
  const [port, sentinelPort] = [await freePort(), await freePort()];
  const master = await serve(port, ['save ""']);
  const sentinel = await serve(sentinelPort, [`sentinel monitor accounts 127.0.0.1 ${port} 1`], ['--sentinel']);
  await roundTrip(`redis+sentinel://127.0.0.1:${sentinelPort}/accounts`);
  master.disconnect();
  sentinel.disconnect();
});
