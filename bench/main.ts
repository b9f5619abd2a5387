// npm run bench [-- --against <checkout>] [--only <part>] [--row <text>] [--large] [--profile <folder>]: ratios within one run, since machines are noisy.
// Needs nothing running; uses the servers of DATABASE_URL and REDIS_URL where they are named, in databases and under a prefix of its own. `--row`
// takes of the measurements over HTTP, and of the tables of growth, those whose name has the text in it; `--profile` writes a CPU profile of each of those
// over HTTP into the folder; `--large` is for growth, which is measured where it is named alone (docs/sizing.md).
import { spawn } from 'node:child_process';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { prepareDatabase } from './checkout';
import { interruption } from './command';
import { benchGrowth } from './growth';
import { benchHttp } from './http';
import { benchOverload } from './overload';
import { say, Servers } from './servers';
import { benchStart } from './start';

const PARTS = ['start', 'http', 'overload', 'batching', 'reading', 'space-deletion', 'account-pages', 'growth'] as const;
type Part = (typeof PARTS)[number];
/** This file is dist/bench/main.js. */
const CHECKOUT = path.join(__dirname, '..', '..');

interface Options {
  against: string | undefined;
  parts: readonly Part[];
  row: string;
  profiles: string | undefined;
  large: boolean;
}

class UsageError extends Error {}

/** @throws {UsageError | TypeError} for a wrong option; node's parser throws the second */
function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      against: { type: 'string' },
      only: { type: 'string', multiple: true },
      row: { type: 'string' },
      profile: { type: 'string' },
      large: { type: 'boolean' },
    },
  });
  const parts = PARTS.filter((part) => (values.only === undefined ? part !== 'growth' : values.only.includes(part)));
  if (parts.length === 0) throw new UsageError(`--only takes one of ${PARTS.join(', ')}`);
  const [against, profiles] = [values.against, values.profile].map((name) => (name === undefined ? undefined : path.resolve(name)));
  return { against, parts, row: values.row ?? '', profiles, large: values.large ?? false };
}

/** Runs services.ts with its own environment; its lines go where ours go. */
async function benchServices(servers: Servers, parts: readonly Part[]): Promise<void> {
  const environment = await prepareDatabase(servers, CHECKOUT);
  const child = spawn(process.execPath, [path.join(__dirname, 'services.js'), ...parts], {
    cwd: servers.directory,
    env: { ...environment, LOG_LEVEL: 'error' },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  servers.atEnd(() => Promise.resolve(child.kill()));
  const code = await new Promise((resolve) => child.once('exit', resolve));
  if (code !== 0) throw new Error(`the measurements of services ended with ${String(code)}`);
}

const print = (lines: readonly string[]): void => lines.forEach((line) => void process.stdout.write(`${line}\n`));

/** @returns the exit code: 1 where something could not be measured */
async function bench(servers: Servers, { parts, ...options }: Options): Promise<number> {
  let code = 0;
  if (parts.includes('start')) print(await benchStart(servers, options.against));
  if (parts.includes('http')) {
    const { lines, isWhole } = await benchHttp(servers, CHECKOUT, options);
    print(lines);
    code = isWhole ? 0 : 1;
  }
  if (parts.includes('overload')) print(await benchOverload(servers, CHECKOUT));
  if (parts.includes('growth')) print(await benchGrowth(servers, options.row, options.large));
  const services = parts.filter((part) => !['start', 'http', 'overload', 'growth'].includes(part));
  if (services.length > 0) await benchServices(servers, services);
  return code;
}

async function main(): Promise<number> {
  const options = readOptions();
  const interrupted = interruption();
  const servers = await Servers.open();
  try {
    return await Promise.race([bench(servers, options), interrupted]);
  } finally {
    await servers.close();
  }
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    const isUsage = error instanceof UsageError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS') === true;
    say(error instanceof Error ? ((isUsage ? undefined : error.stack) ?? error.message) : String(error));
    process.exit(isUsage ? 2 : 1);
  },
);
