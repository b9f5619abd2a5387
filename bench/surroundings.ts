// What stands beside a `web` while a row is measured.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { makeCertificate } from '../test/helpers/pki';
import { stopProcess, Web } from './checkout';
import { startChild } from './child';
import { connect, type Connection } from './connection';
import { connectSecurely } from './secure-connection';
import type { Servers } from './servers';

/** What requests are sent to, and whose CPU time counts. */
export interface Measured {
  name: string;
  port: number;
  /** The first answers, others work for it. */
  pids: number[];
}

/** How the clients of a row connect, and what is to be ended after it. */
export interface Surroundings {
  /** Of the `web`, in the same order; each has its own. */
  measured: Measured[];
  /** More settings for ceilings. */
  settings: Record<string, string>;
  connect: (port: number) => Promise<Connection>;
  /** One connection carries all requests. */
  isShared: boolean;
  end: () => Promise<unknown>;
}

/** Clients connect to the `web` that are there. */
export const plainly = (webs: readonly Web[]): Surroundings => ({
  measured: webs.map(({ name, port, pids }) => ({ name, port, pids })),
  settings: {},
  connect,
  isShared: false,
  end: () => Promise.resolve(),
});

/** Beside each `web` a `worker` of its checkout, and push services that take everything at once. */
export async function withWorkers(servers: Servers, webs: readonly Web[], settings: Record<string, string>): Promise<Surroundings> {
  const { HOME = '', PATH = '' } = process.env;
  const provider = await startChild('provider', path.join(__dirname, 'provider.js'), { HOME, PATH }, servers.directory);
  const processes = [provider.process];
  servers.atEnd(() => Promise.all(processes.map(stopProcess)));
  const measured: Measured[] = [];
  for (const { name, port, pids, directory, environment } of webs) {
    const all = { ...environment, ...(provider.said as Record<string, string>), ...settings };
    const worker = await startChild(`worker-${name}`, path.join(directory, 'dist', 'workers', 'main.js'), all, servers.directory);
    processes.push(worker.process);
    measured.push({ name, port, pids: [...pids, worker.process.pid ?? 0] });
  }
  return { ...plainly([]), measured, end: () => Promise.all(processes.toReversed().map(stopProcess)) };
}

/** Beside each `web` another one that speaks HTTP/2 with TLS. */
export async function withTls(servers: Servers, webs: readonly Web[], settings: Record<string, string>): Promise<Surroundings> {
  const { key, cert } = await makeCertificate(servers.directory);
  const [certFile, keyFile] = ['cert.pem', 'key.pem'].map((file) => path.join(servers.directory, file)) as [string, string];
  writeFileSync(certFile, cert);
  writeFileSync(keyFile, key);
  const tls = { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile };
  const secure: Web[] = [];
  for (const web of webs) secure.push(await Web.start(servers, `${web.name}-tls`, web.directory, { ...settings, ...tls }, web));
  return {
    measured: secure.map(({ port, pids }, index) => ({ name: webs[index]?.name ?? '', port, pids })),
    settings: tls,
    connect: (port) => connectSecurely(port, cert),
    isShared: true,
    end: () => Promise.all(secure.map((web) => web.stop())),
  };
}
