// nginx and HAProxy with the files of deploy/, of which only names, ports and paths are this machine's.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { freePort } from '../../src/start/ports';
import { testServers } from '../setup/servers';
import type { Certificate } from './pki';
import { runProgram, type Ran } from './programs';
import { eventually } from './system';

const DEPLOY = path.join(__dirname, '..', '..', 'deploy');

export interface Balancer {
  /** Where clients speak TLS to it. */
  port: number;
  /** Where they are sent to that. */
  plainPort: number;
  /** What its own check of the file says. */
  check: () => Promise<Ran>;
  start: () => Promise<void>;
  stop: () => Promise<void>;
  output: () => string;
}

/** A file of deploy/ with other values. @throws where a text is not there so often as it should be: the file has changed */
function adapted(file: string, changes: [text: string, value: string, times?: number][]): string {
  let text = readFileSync(path.join(DEPLOY, file), 'utf8');
  for (const [from, to, times = 1] of changes) {
    const parts = text.split(from);
    if (parts.length - 1 !== times) throw new Error(`${file} has «${from}» ${parts.length - 1} times, not ${times}`);
    text = parts.join(to);
  }
  return text;
}

/** A program that stays in the foreground, until it answers on its port. */
function runner(file: string, parameters: string[], port: number): Pick<Balancer, 'start' | 'stop' | 'output'> {
  let output = '';
  let end: () => Promise<void> = () => Promise.resolve();
  return {
    output: () => output,
    start: async () => {
      const child = spawn(file, parameters, { stdio: ['ignore', 'pipe', 'pipe'] });
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
      const exited = new Promise<void>((resolve) => child.once('close', () => resolve()));
      end = () => {
        child.kill('SIGTERM');
        return exited;
      };
      await eventually(
        async () => {
          if (child.exitCode !== null) throw new Error(`${file} ended: ${output}`);
          return fetch(`http://127.0.0.1:${port}/`, { redirect: 'manual' }).then(
            () => true,
            () => false,
          );
        },
        (answers) => answers,
      );
    },
    stop: () => end(),
  };
}

/** A folder with the certificate as each of the two wants it. */
function folderWith({ cert, key }: Certificate): string {
  const folder = mkdtempSync(path.join(testServers().directory, 'balancer-'));
  writeFileSync(path.join(folder, 'cert.pem'), cert);
  writeFileSync(path.join(folder, 'key.pem'), key);
  writeFileSync(path.join(folder, 'all.pem'), `${cert}\n${key}`);
  return folder;
}

/** @param webs the ports of the two `web` */
export async function nginxBefore(executable: string, certificate: Certificate, webs: [number, number]): Promise<Balancer> {
  const folder = folderWith(certificate);
  const [port, plainPort] = [await freePort(), await freePort()];
  const site = adapted('nginx/flexiapi.conf', [
    ['    listen 80;\n    listen [::]:80;', `    listen 127.0.0.1:${plainPort};`],
    ['    listen 443 ssl http2;\n    listen [::]:443 ssl http2;', `    listen 127.0.0.1:${port} ssl http2;`],
    ['server_name api.example.org;', 'server_name localhost;', 2],
    ['/etc/letsencrypt/live/api.example.org/fullchain.pem', path.join(folder, 'cert.pem')],
    ['/etc/letsencrypt/live/api.example.org/privkey.pem', path.join(folder, 'key.pem')],
    ['127.0.0.1:8001', `127.0.0.1:${webs[0]}`],
    ['127.0.0.1:8002', `127.0.0.1:${webs[1]}`],
  ]);
  writeFileSync(path.join(folder, 'flexiapi.conf'), site);
  mkdirSync(path.join(folder, 'temp'));
  // What Debian's nginx.conf has around it.
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/temp;`);
  writeFileSync(
    path.join(folder, 'nginx.conf'),
    [
      'daemon off;',
      process.getuid?.() === 0 ? 'user root;' : '',
      'worker_processes 2;',
      `pid ${folder}/nginx.pid;`,
      'error_log stderr;',
      'events { worker_connections 768; }',
      `http { access_log off; ${temporary.join(' ')} include ${folder}/flexiapi.conf; }`,
    ].join('\n'),
  );
  const parameters = ['-p', folder, '-e', 'stderr', '-c', path.join(folder, 'nginx.conf')];
  return {
    port,
    plainPort,
    check: () => runProgram(executable, ['-t', ...parameters]),
    ...runner(executable, parameters, plainPort),
  };
}

/** @param webs the ports of the two `web` */
export async function haproxyBefore(executable: string, certificate: Certificate, webs: [number, number]): Promise<Balancer> {
  const folder = folderWith(certificate);
  const [port, plainPort] = [await freePort(), await freePort()];
  const own = process.getuid?.() === 0 ? [] : [['    user haproxy\n    group haproxy\n', ''] as [string, string]];
  const file = path.join(folder, 'haproxy.cfg');
  writeFileSync(
    file,
    adapted('haproxy/haproxy.cfg', [
      ['bind :::80 v4v6', `bind 127.0.0.1:${plainPort}`],
      ['bind :::443 v4v6', `bind 127.0.0.1:${port}`],
      ['/etc/haproxy/certs/api.example.org.pem', path.join(folder, 'all.pem')],
      ['/run/haproxy/admin.sock', path.join(folder, 'admin.sock')],
      ['127.0.0.1:8001', `127.0.0.1:${webs[0]}`, 2],
      ['127.0.0.1:8002', `127.0.0.1:${webs[1]}`, 2],
      ...own,
    ]),
  );
  return {
    port,
    plainPort,
    check: () => runProgram(executable, ['-c', '-f', file]),
    ...runner(executable, ['-db', '-f', file], plainPort),
  };
}
