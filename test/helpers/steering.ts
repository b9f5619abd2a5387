// A system whose queues are looked at and steered, by the API and at the command line.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import path from 'node:path';
import { Worker, type Queue } from 'bullmq';
import { testServers } from '../setup/servers';
import { openQueue } from './jobs';
import { eventually, startSystem, type Account, type Answer, type System } from './system';

export type Json = Record<string, unknown>;

/** What a command said, and how it ended. */
export interface Done {
  code: number;
  stdout: string;
  stderr: string;
}

/** A job that is to fail. */
export interface Failing {
  text: string;
  /** Milliseconds from now; absent: none. */
  deadline?: number;
  payload?: object;
  request_id?: string;
}

const COMMAND = path.join(__dirname, '..', '..', 'bin', 'flexiapi');
const freshFolder = (): string => mkdtempSync(path.join(testServers().directory, 'cli-'));

/** The lines of a log that tell of an action. */
export const linesOf = (text: string): Json[] =>
  text
    .split('\n')
    .filter((line) => line.includes('an action on the queues'))
    .map((line) => JSON.parse(line) as Json);

/** The queues of a system without workers: jobs are done by the test itself. */
export class Steering {
  readonly #queues = new Map<string, Queue>();

  private constructor(
    readonly system: System,
    readonly superAdmin: Account,
  ) {}

  static async start(): Promise<Steering> {
    const system = await startSystem({ workers: 0 });
    return new Steering(system, await system.account('steering-super', { admin: true }));
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()));
    await this.system.stop();
  }

  queue(name: string): Queue {
    let queue = this.#queues.get(name);
    if (!queue) this.#queues.set(name, (queue = openQueue(this.system, name)));
    return queue;
  }

  get(url: string, key = this.superAdmin.key): Promise<Answer> {
    return this.system.api(url, { key });
  }

  post(url: string, body: object = {}, key = this.superAdmin.key): Promise<Answer> {
    return this.system.api(url, { method: 'POST', key, body });
  }

  /** Runs bin/flexiapi. */
  flexiapi(args: string[], environment: Record<string, string> = this.system.environment): Promise<Done> {
    const env = { PATH: process.env['PATH'] ?? '', ...environment };
    return new Promise((resolve) => {
      execFile(process.execPath, [COMMAND, ...args], { cwd: freshFolder(), env }, (error, stdout, stderr) =>
        resolve({ code: (error?.code as number | undefined) ?? 0, stdout, stderr }),
      );
    });
  }

  /** Starts bin/flexiapi, and does not wait for its end. */
  command(args: string[], environment: Record<string, string> = {}): ChildProcess {
    const env = { PATH: process.env['PATH'] ?? '', ...this.system.environment, ...environment };
    return spawn(process.execPath, [COMMAND, ...args], { cwd: freshFolder(), env });
  }

  /** Fails jobs with these texts, as a worker would. @returns their ids, in the same order */
  async fail(name: string, failing: readonly Failing[]): Promise<string[]> {
    const added = await this.queue(name).addBulk(
      failing.map(({ text, deadline, payload, request_id }) => ({
        name: text,
        data: {
          payload: { kind: 'notification', provider: 'fcm', param: null, prid: 'a-secret-device', type: 'call', ...payload },
          ...(deadline === undefined ? {} : { deadline: Date.now() + deadline }),
          ...(request_id === undefined ? {} : { request_id }),
        },
      })),
    );
    await this.workOff(name, (text) => {
      throw new Error(text);
    });
    return added.map(({ id }) => id ?? '');
  }

  /** Has a worker of the test's own do what waits. @returns names of the jobs that it had */
  async workOff(name: string, handle: (text: string) => unknown): Promise<string[]> {
    const had: string[] = [];
    const worker = new Worker(
      name,
      (job) => {
        had.push(job.name);
        return Promise.resolve(handle(job.name));
      },
      {
        connection: { url: this.system.environment['REDIS_URL'] ?? '' },
        prefix: `{${this.system.environment['QUEUE_PREFIX']}:${name}}`,
        concurrency: 20,
      },
    );
    await eventually(
      () => this.queue(name).getJobCounts('waiting', 'active'),
      ({ waiting, active }) => waiting === 0 && active === 0,
    );
    await worker.close();
    return had;
  }

  empty(name: string): Promise<void> {
    return this.queue(name).obliterate({ force: true });
  }

  /** The trail, oldest first. */
  actions(): Promise<Json[]> {
    return this.system.rows('SELECT * FROM queue_actions ORDER BY id');
  }

  async lastAction(): Promise<Json> {
    return (await this.actions()).at(-1) ?? {};
  }
}
