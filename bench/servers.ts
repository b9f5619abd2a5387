// PostgreSQL and Redis for a bench: the named ones, those of an `npm start` in this folder, or its own for as long as it runs. Nothing in
// them has a name that another checkout might use: databases have random names, and Redis keys a random prefix.
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Redis } from 'ioredis';
import pg from 'pg';
import { environment, SERVERS_FILE } from '../config/environment';
import { startPostgres } from '../src/start/postgres';
import { startRedis } from '../src/start/redis';

type Cleanup = () => Promise<unknown>;

/** Writes a line for the person who waits: stdout is for the table alone. */
export const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** What a bench makes, and takes away again in reverse order, however it ends. */
export class Servers {
  readonly #cleanups: Cleanup[] = [];
  readonly #prefix = `bench_${randomBytes(6).toString('hex')}`;
  /** Working directory of the processes that are started: no .env and no .data of a checkout is in it. */
  readonly directory = mkdtempSync(path.join(tmpdir(), 'flexiapi-bench-'));
  #databaseUrl = '';
  #redisUrl = '';

  private constructor() {
    this.atEnd(() => Promise.resolve(rmSync(this.directory, { recursive: true, force: true })));
  }

  /**
   * Finds or starts both.
   *
   * @param postgresOptions for one that is started here, `name=value`
   */
  static async open(postgresOptions: readonly string[] = []): Promise<Servers> {
    const servers = new Servers();
    try {
      await servers.#open(postgresOptions);
    } catch (error) {
      await servers.close();
      throw error;
    }
    return servers;
  }

  atEnd(cleanup: Cleanup): void {
    this.#cleanups.push(cleanup);
  }

  async close(): Promise<void> {
    for (let cleanup = this.#cleanups.pop(); cleanup; cleanup = this.#cleanups.pop())
      await cleanup().catch((error: unknown) => say(`Left behind: ${error instanceof Error ? error.message : String(error)}`));
  }

  async #open(postgresOptions: readonly string[]): Promise<void> {
    const started = existsSync(SERVERS_FILE) ? (JSON.parse(readFileSync(SERVERS_FILE, 'utf8')) as Record<string, string>) : {};
    this.#databaseUrl = environment['DATABASE_URL'] ?? started['DATABASE_URL'] ?? '';
    this.#redisUrl = environment['REDIS_URL'] ?? started['REDIS_URL'] ?? '';
    if (this.#databaseUrl === '') {
      say('Starting a PostgreSQL …');
      const postgres = await startPostgres(this.directory, [...postgresOptions]);
      this.atEnd(postgres.stop);
      this.#databaseUrl = postgres.url;
    }
    if (this.#redisUrl === '') {
      say('Starting a Redis …');
      const redis = await startRedis(this.directory, say, false);
      this.atEnd(redis.stop);
      this.#redisUrl = redis.url;
    } else this.atEnd(() => this.#deleteKeys());
  }

  /** Makes an empty database, dropped at the end. @returns the environment of a process that uses it, and a Redis prefix of its own */
  async createDatabase(): Promise<Record<string, string>> {
    const name = `flexiapi_bench_${randomBytes(6).toString('hex')}`;
    await this.#maintain(`CREATE DATABASE ${name}`);
    this.atEnd(() => this.#maintain(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
    const url = new URL(this.#databaseUrl);
    url.pathname = `/${name}`;
    return {
      PATH: process.env['PATH'] ?? '',
      HOME: process.env['HOME'] ?? '',
      NODE_ENV: 'production',
      APP_KEY: randomBytes(32).toString('hex'),
      DATABASE_URL: url.href,
      REDIS_URL: this.#redisUrl,
      QUEUE_PREFIX: `${this.#prefix}_${name}`,
      RATE_LIMIT_PER_MINUTE: '0',
      HOST: '127.0.0.1',
    };
  }

  async #maintain(sql: string): Promise<void> {
    const client = new pg.Client({ connectionString: this.#databaseUrl });
    await client.connect();
    try {
      await client.query(sql);
    } finally {
      await client.end();
    }
  }

  async #deleteKeys(): Promise<void> {
    const redis = new Redis(this.#redisUrl, { retryStrategy: () => null });
    try {
      for await (const keys of redis.scanStream({ match: `*${this.#prefix}*`, count: 1000 }) as AsyncIterable<string[]>)
        if (keys.length > 0) await redis.unlink(keys);
    } finally {
      redis.disconnect();
    }
  }
}
