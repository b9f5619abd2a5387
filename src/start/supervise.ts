// The second half of `npm start`: migrates, makes the first admin, runs web and worker, says what to do next, and ends it all in order.
import { fork, type ChildProcess } from 'node:child_process';
import path from 'node:path';
import { settings } from '../../config';
import { closeDatabase, inTransaction } from '../infra/database';
import { freePort } from './ports';
import { StartError } from './postgres';
import { migrate } from '../migrations';
import { Space } from '../models';
import { createAdmin, type NewAdmin } from '../services/accounts/accounts';
import { createNamedKey, type MadeKey } from '../services/credentials/key-changes';
import { FLEXISIP_SCOPES } from '../services/flexisip/key';
import { createOrUpdateSpace } from '../services/spaces/spaces';

const ROOT = path.join(__dirname, '..', '..');
const PROCESSES = { web: path.join(ROOT, 'src', 'web.js'), worker: path.join(ROOT, 'workers', 'main.js') } as const;
type Name = keyof typeof PROCESSES;

const RESTART_DELAY_MS = 1000;
/** After a restart that failed. */
const RETRY_DELAY_MS = 5000;

/** Who may do everything, and the key with which Flexisip does its part. */
interface Seed {
  admin: NewAdmin;
  flexisip: MadeKey;
}

/** The default Space and a super admin with the key of Flexisip, in an empty database only. */
async function seed(): Promise<Seed | null> {
  return inTransaction(async () => {
    const space = await Space.findOne({ attributes: ['id'], raw: true });
    if (space) return null;
    await createOrUpdateSpace(settings.APP_SIP_DOMAIN, { isSuper: true });
    const admin = await createAdmin({ username: 'admin', domain: settings.APP_SIP_DOMAIN, ip: null });
    return { admin, flexisip: await createNamedKey({ account_id: admin.id, name: 'flexisip', scopes: FLEXISIP_SCOPES }) };
  });
}

/** One line that makes a token and an account with it; it must work when pasted, so no box is drawn around it. */
function curlLine(key: string): string {
  const api = `${settings.APP_URL}/api`;
  const token = `$(curl -s -X POST ${api}/account_creation_tokens -H "x-api-key: ${key}" | sed "s/.*\\"token\\":\\"\\([^\\"]*\\).*/\\1/")`;
  return `curl -s ${api}/accounts/with-account-creation-token -H "content-type: application/json" -d "{\\"username\\":\\"first-user\\",\\"password\\":\\"change-me-soon\\",\\"algorithm\\":\\"SHA-256\\",\\"account_creation_token\\":\\"${token}\\"}"`;
}

async function introduce(seeded: Seed | null, workerPort: number, say: (line: string) => void): Promise<void> {
  const { default: boxen } = await import('boxen');
  const url = settings.APP_URL;
  const lines = [
    `API and documentation  ${url}/api`,
    `Statistics             ${url}/statistics`,
    `Queues                 ${url}/queues`,
    `Metrics of web         ${url}/metrics`,
    `Metrics of the worker  http://localhost:${workerPort}/metrics`,
    '',
    ...(seeded
      ? [
          'Super admin, shown this once; the key signs in to the pages, too:',
          `  SIP address  sip:${seeded.admin.username}@${seeded.admin.domain}`,
          `  Password     ${seeded.admin.password}`,
          `  API key      ${seeded.admin.api_key}`,
          ...(settings.APP_API_KEY_EXPIRATION_MINUTES === 0
            ? []
            : [`  The key expires when unused for ${settings.APP_API_KEY_EXPIRATION_MINUTES} minutes.`]),
          '',
          'Key of the SIP proxy (reports statistics, reads domains, never expires;',
          'while it was never used, bin/flexiapi flexisip:config gives it another',
          'secret and the parameters to put it in):',
          `  ${seeded.flexisip.api_key}`,
        ]
      : [
          'Your data is as you left it.',
          'Lost the key? Make another one:',
          '',
          'bin/flexiapi api-keys:create my-key --scope "*" --expires 7d',
        ]),
    '',
    'Ctrl-C stops everything.',
  ];
  say(
    boxen(lines.join('\n'), {
      title: `${settings.APP_NAME} is running`,
      padding: { left: 2, right: 2, top: 1, bottom: 1 },
      borderStyle: 'round',
      borderColor: 'green',
    }),
  );
  if (seeded) say(`\nCreate your first account, paste this line:\n\n${curlLine(seeded.admin.api_key)}\n`);
}

class Child {
  #process: ChildProcess | undefined;
  #stopping = false;

  /** @param environment beside this process's own */
  constructor(
    readonly name: Name,
    readonly environment: Record<string, string> = {},
  ) {}

  /** Starts it; once it was ready it is started again whenever it ends. @throws where it ends before it is ready */
  async start(): Promise<void> {
    // Detached: Ctrl-C reaches this process alone, which stops the others in order.
    const child = fork(PROCESSES[this.name], { detached: true, env: { ...process.env, ...this.environment } });
    this.#process = child;
    await new Promise<void>((resolve, reject) => {
      child.once('message', () => resolve());
      child.once('error', reject);
      child.once('exit', () => reject(new StartError(`${this.name} could not be started.`)));
    });
    child.once('exit', () => {
      if (this.#stopping) return;
      process.stderr.write(`${this.name} ended; starting it again\n`);
      setTimeout(() => {
        if (!this.#stopping) this.start().catch(() => this.#retry());
      }, RESTART_DELAY_MS);
    });
  }

  #retry(): void {
    setTimeout(() => {
      if (!this.#stopping) this.start().catch(() => this.#retry());
    }, RETRY_DELAY_MS);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await ended;
  }
}

/** Runs until SIGINT or SIGTERM; returns once web and worker have ended. @throws {StartError} where one does not start */
export async function supervise(say: (line: string) => void): Promise<void> {
  const stopped = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve());
  });
  const workerPort = settings.WORKER_PORT ?? (await freePort(settings.PORT + 1));
  const children = [new Child('web'), new Child('worker', { WORKER_PORT: String(workerPort) })];
  try {
    await migrate(settings.DATABASE_URL ?? '');
    const seeded = await seed();
    await closeDatabase();
    await Promise.all(children.map((child) => child.start()));
    await introduce(seeded, workerPort, say);
    await stopped;
    say('Stopping …');
  } finally {
    // web first: what it still asks for needs a worker.
    for (const child of children) await child.stop();
  }
}
