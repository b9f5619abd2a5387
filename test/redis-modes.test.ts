// REDIS_URL in its other forms: a Cluster, and a Sentinel in front of a server.
import { mkdtempSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { generate } from 'selfsigned';
import { freePort } from '../src/start/ports';
import { killServers, serve } from './helpers/redis';
import { eventually, startSystem } from './helpers/system';
import { testServers } from './setup/servers';

afterAll(killServers);

/** A job goes to a worker and its result comes back. */
async function roundTrip(redisUrl: string, environment: Record<string, string> = {}): Promise<void> {
  const system = await startSystem({ environment: { REDIS_URL: redisUrl, RATE_LIMIT_PER_MINUTE: '600', ...environment } });
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
  const nodes = [await serve(['cluster-enabled yes', 'cluster-require-full-coverage no']), await serve(['cluster-enabled yes'])] as const;
  const [first, second] = nodes;
  await first.client.call('CLUSTER', 'ADDSLOTSRANGE', 0, 8191);
  await second.client.call('CLUSTER', 'ADDSLOTSRANGE', 8192, 16383);
  await second.client.call('CLUSTER', 'SET-CONFIG-EPOCH', 2);
  await first.client.call('CLUSTER', 'MEET', '127.0.0.1', second.port);
  for (const { client } of nodes)
    await eventually(
      async () => String(await client.call('CLUSTER', 'INFO')),
      (info) => /cluster_state:ok[\s\S]*cluster_slots_assigned:16384[\s\S]*cluster_known_nodes:2/.test(info),
      30,
    );
  await roundTrip(nodes.map(({ port }) => `redis://127.0.0.1:${port}`).join(','));
  for (const { client } of nodes) client.disconnect();
});

test('a Sentinel, both with users of their own who may do no more than they must', async () => {
  const rights = 'on >s%cret allkeys allchannels +@all -@dangerous +info +client|list';
  const master = await serve([`user accounts ${rights}`, 'user default on nopass allkeys allchannels +@all']);
  const sentinel = await serve(
    [
      'user default off',
      'user finder on >w@tch allchannels +@all',
      `sentinel monitor accounts 127.0.0.1 ${master.port} 1`,
      `sentinel auth-user accounts default`,
      `sentinel auth-pass accounts none`,
    ],
    ['--sentinel'],
    { username: 'finder', password: 'w@tch' },
  );
  await roundTrip(
    `redis+sentinel://accounts:s%25cret@127.0.0.1:${sentinel.port}/accounts?sentinel_username=finder&sentinel_password=w%40tch`,
  );
  expect(await master.client.acl('LOG')).toEqual([]);
  for (const { client } of [master, sentinel]) client.disconnect();
});

test('a server, and Sentinels with it, over TLS; a certificate that nobody vouches for is not believed', async () => {
  const directory = mkdtempSync(path.join(testServers().directory, 'tls-'));
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'A Redis of a test' }], {
    keySize: 2048,
    algorithm: 'sha256',
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
  });
  const [certFile, keyFile] = [path.join(directory, 'cert.pem'), path.join(directory, 'key.pem')];
  writeFileSync(certFile, cert);
  writeFileSync(keyFile, key);
  const secured = (port: number): string[] => [
    `tls-port ${port}`,
    `tls-cert-file ${certFile}`,
    `tls-key-file ${keyFile}`,
    `tls-ca-cert-file ${certFile}`,
    'tls-auth-clients no',
    'tls-replication yes',
  ];
  const [port, sentinelPort] = [await freePort(), await freePort()];
  const master = await serve(secured(port));
  const sentinel = await serve([...secured(sentinelPort), `sentinel monitor accounts 127.0.0.1 ${port} 1`], ['--sentinel']);
  const trusting = { NODE_EXTRA_CA_CERTS: certFile };
  await roundTrip(`rediss://127.0.0.1:${port}`, trusting);
  await roundTrip(`rediss+sentinel://127.0.0.1:${sentinelPort}/accounts`, trusting);
  const wary = await startSystem({ workers: 0, environment: { REDIS_URL: `rediss://127.0.0.1:${port}` } });
  expect((await fetch(`${wary.url}/health/ready`)).status).toBe(503);
  await wary.stop();
  for (const { client } of [master, sentinel]) client.disconnect();
});
