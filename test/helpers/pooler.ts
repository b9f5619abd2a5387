// What a client sees behind PgBouncer in transaction mode: the backend's id that it is told is not the true one, and cancelling with it works all the same.
// PgBouncer itself is used beside this where the machine has it.
import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { freePort } from '../../src/start/ports';
import { testServers } from '../setup/servers';
import { Relay } from './relay';
import { eventually } from './system';

const SHIFT = 1_000_000;
const CANCEL_REQUEST = 80_877_102;
const PGBOUNCER = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer', '/usr/local/bin/pgbouncer'].find((file) => existsSync(file));

export interface Pooler {
  /** Of the same database, through it. */
  url: string;
  stop: () => Promise<void>;
}

/** Replaces the id in the server's BackendKeyData, which comes before anything that is split over many packets. */
function shiftBackendId(chunk: Buffer): boolean {
  for (let at = 0; at + 5 <= chunk.length; at += 1 + chunk.readInt32BE(at + 1)) {
    if (chunk[at] !== 'K'.charCodeAt(0)) continue;
    chunk.writeInt32BE(chunk.readInt32BE(at + 5) + SHIFT, at + 5);
    return true;
  }
  return false;
}

/** A relay that gives each connection another backend id. */
export async function startRelay(url: string): Promise<Pooler> {
  const relay = await Relay.start(url, () => {
    let isShifted = false;
    return {
      asked: (chunk) => {
        if (chunk.length === 16 && chunk.readInt32BE(4) === CANCEL_REQUEST) chunk.writeInt32BE(chunk.readInt32BE(8) - SHIFT, 8);
      },
      answered: (chunk) => {
        isShifted ||= shiftBackendId(chunk);
      },
    };
  });
  return { url: relay.through(url), stop: () => relay.stop() };
}

/** PgBouncer in transaction mode with two connections to the server; undefined where the machine has none. */
export async function startPgBouncer(url: string): Promise<Pooler | undefined> {
  if (PGBOUNCER === undefined) return undefined;
  const { hostname, port, username, password, pathname } = new URL(url);
  const directory = mkdtempSync(path.join(testServers().directory, 'pgbouncer-'));
  const listen = await freePort();
  const isRoot = process.getuid?.() === 0;
  writeFileSync(
    path.join(directory, 'pgbouncer.ini'),
    `[databases]
* = host=${hostname} port=${port} user=${username} password=${password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${listen}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
`,
  );
  // It refuses to run as root.
  chmodSync(directory, 0o755);
  chmodSync(testServers().directory, 0o755);
  const child: ChildProcess = spawn(PGBOUNCER, [...(isRoot ? ['-u', 'nobody'] : []), path.join(directory, 'pgbouncer.ini')], {
    stdio: 'ignore',
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const pooled = `postgres://${username}:${password}@127.0.0.1:${listen}${pathname}`;
  await eventually(
    async () => {
      const client = new pg.Client({ connectionString: pooled });
      client.on('error', () => undefined);
      try {
        await client.connect();
        await client.end();
        return true;
      } catch {
        return false;
      }
    },
    (isThere) => isThere,
  );
  return {
    url: pooled,
    stop: async () => {
      child.kill('SIGTERM');
      await exited;
    },
  };
}
