// Redis servers of a test's own, which it may freeze, kill and promote.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Redis } from 'ioredis';
import { freePort } from '../../src/start/ports';
import { testServers } from '../setup/servers';
import { eventually } from './system';

const binary = ['redis-server', 'valkey-server'].find((name) => spawnSync(name, ['--version']).status === 0) ?? 'redis-server';
const servers: ChildProcess[] = [];

/** Ends all that were started, frozen ones too: for `afterAll`. */
export function killServers(): void {
  for (const server of servers) server.kill('SIGKILL');
}

/** A server of its own. */
export interface Server {
  port: number;
  client: Redis;
  /** SIGSTOP: accepts connections still, and answers nothing. */
  freeze: () => void;
  thaw: () => void;
  signal: (signal: NodeJS.Signals) => void;
}

/** Starts one with these lines of configuration and waits until it answers. */
export async function serve(
  lines: string[],
  parameters: string[] = [],
  login: { username?: string; password?: string } = {},
): Promise<Server> {
  const port = await freePort();
  const directory = mkdtempSync(path.join(testServers().directory, 'mode-'));
  const file = path.join(directory, 'redis.conf');
  writeFileSync(file, [`port ${port}`, 'bind 127.0.0.1', `dir ${directory}`, 'save ""', 'repl-diskless-sync-delay 0', ...lines].join('\n'));
  const child = spawn(binary, [file, ...parameters], { stdio: 'ignore' });
  servers.push(child);
  const client = new Redis({ port, host: '127.0.0.1', disconnectTimeout: 100, ...login });
  client.on('error', () => undefined);
  await eventually(
    () => client.ping().catch(() => ''),
    (answer) => answer === 'PONG',
    30,
  );
  return { port, client, freeze: () => child.kill('SIGSTOP'), thaw: () => child.kill('SIGCONT'), signal: (signal) => child.kill(signal) };
}

/** Waits until a replica has all that its master has. */
export async function replicates(replica: Server): Promise<void> {
  await eventually(
    () => replica.client.info('replication'),
    (text) => text.includes('master_link_status:up'),
    30,
  );
}
