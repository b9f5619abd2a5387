// A system as Flexisip has it before it: TLS with HTTP/2, a super admin, a database role of the run's own; and the command line beside it.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Step } from '../../src/services/flexisip/step';
import { testServers } from '../setup/servers';
import { makeCertificate, type Certificate } from './pki';
import { startSystem, type Account, type System } from './system';

const run = promisify(execFile);
const BIN = path.join(__dirname, '..', '..', 'bin', 'flexiapi');

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}
/** What `flexisip:config --json` prints. */
export interface Printed {
  flexisip_version: string;
  key: {
    id: number;
    api_key: string | null;
    name: string;
    what: string;
    account: { id: number; address: string };
    previous_good_for_minutes?: number;
  };
  conf: string;
  sql: string[];
  notes: string[];
  written?: { file: string; backup?: string; changed: number };
}

/** What `flexisip:check --json` found. */
export interface Checked {
  steps: Step[];
  wrong: Step[];
}
/** The first step whose name begins so, as its verdict and all its words. */
export function said({ steps }: Checked, name: string): string {
  const found = steps.find(({ step }) => step.startsWith(name));
  return `${found?.verdict ?? 'none'}: ${found?.found ?? ''} → ${found?.todo ?? ''}`;
}

export class FlexisipSystem {
  /** Roles are of the whole server: each has its own. */
  readonly role = `flexisip_${randomBytes(5).toString('hex')}`;

  constructor(
    readonly system: System,
    /** Where web speaks TLS. */
    readonly url: string,
    readonly admin: Account,
    readonly certificate: Certificate,
    readonly directory: string,
  ) {}

  async flexiapi(parameters: string[], environment: Record<string, string> = {}): Promise<Ran> {
    const cwd = mkdtempSync(path.join(testServers().directory, 'cli-'));
    try {
      const { stdout, stderr } = await run(process.execPath, [BIN, ...parameters], {
        cwd,
        env: { PATH: process.env['PATH'] ?? '', ...this.system.environment, APP_URL: this.url, ...environment },
      });
      return { code: 0, stdout, stderr };
    } catch (error) {
      const { code, stdout, stderr } = error as Ran;
      return { code, stdout, stderr };
    }
  }

  async config(parameters: string[] = [], environment: Record<string, string> = {}): Promise<Printed> {
    const { code, stdout, stderr } = await this.flexiapi(['flexisip:config', '--role', this.role, ...parameters, '--json'], environment);
    expect([code, stderr]).toEqual([0, '']);
    return JSON.parse(stdout) as Printed;
  }

  async check(parameters: string[], environment: Record<string, string> = {}): Promise<Checked> {
    const { code, stdout, stderr } = await this.flexiapi(['flexisip:check', ...parameters, '--json'], environment);
    if (stdout === '') throw new Error(stderr);
    const { ok, steps } = JSON.parse(stdout) as { ok: boolean; steps: Step[] };
    const wrong = steps.filter(({ verdict }) => verdict === 'wrong');
    expect([code, ok]).toEqual(wrong.length > 0 ? [1, false] : [0, true]);
    return { steps, wrong };
  }

  /** An account as the API makes one: activated, with a password whose hashes the server computes. */
  async person(username: string, domain: string, { password = 'a long secret', algorithm = 'SHA-256' } = {}): Promise<number> {
    const body = { username, domain, password, algorithm, activated: true };
    const made = await this.system.api('/accounts', { method: 'POST', key: this.admin.key, body });
    if (made.status !== 200) throw new Error(made.text);
    return Number(made.json['id']);
  }

  async stop(): Promise<void> {
    // Its grants are of this database, the role of the server.
    await this.system.rows(`DROP OWNED BY ${this.role}`).catch(() => undefined);
    await this.system.rows(`DROP ROLE IF EXISTS ${this.role}`);
    await this.system.stop();
  }
}

/** `system.api` asks a process without TLS, which its helpers do not know. */
export async function startFlexisipSystem(): Promise<FlexisipSystem> {
  const directory = mkdtempSync(path.join(testServers().directory, 'flexisip-'));
  const certificate = await makeCertificate(directory);
  const [certFile, keyFile] = [path.join(directory, 'cert.pem'), path.join(directory, 'key.pem')];
  writeFileSync(certFile, certificate.cert);
  writeFileSync(keyFile, certificate.key);
  const environment = { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile, FLEXISIP_REDIS_URL: testServers().redisUrl };
  const system = await startSystem({ webs: 1, workers: 0, environment });
  await system.startWeb({ TLS_CERT_FILE: '', TLS_KEY_FILE: '' });
  const url = `https://localhost:${new URL(system.urls.shift() ?? '').port}`;
  const admin = await system.account('root', { admin: true });
  return new FlexisipSystem(system, url, admin, certificate, directory);
}
