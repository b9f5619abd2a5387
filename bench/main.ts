// npm run bench [-- --against <checkout>] [--only <part>] [--row <text>] [--large]: ratios within one run, since machines are noisy. Needs nothing
// running; uses the servers of DATABASE_URL and REDIS_URL where they are named, in databases and under a prefix of its own. `--row` takes of
// the measurements over HTTP, and of the tables of growth, those whose name has the text in it; `--large` is for growth, which is measured where it is
// named alone (docs/sizing.md).
import { spawn } from 'node:child_process';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { prepareDatabase } from './checkout';
import { interruption } from './command';
import { benchGrowth } from './growth';
import { benchHttp } from './http';
import { say, Servers } from './servers';
import { benchStart } from './start';

const PARTS = ['start', 'http', 'batching', 'reading', 'space-deletion', 'account-pages', 'growth'] as const;
type Part = (typeof PARTS)[number];
/** This file is dist/bench/main.js. */
const CHECKOUT = path.join(__dirname, '..', '..');

interface Options {
  against: string | undefined;
  parts: readonly Part[];
  row: string;
  large: boolean;
}

class UsageError extends Error {}

/** @throws {UsageError | TypeError} for a wrong option; node's parser throws the second */
function readOptions(): Options {
  const { values } = parseArgs({
    options: { against: { type: 'string' }, only: { type: 'string', multiple: true }, row: { type: 'string' }, large: { type: 'boolean' } },
  });
  const parts = PARTS.filter((part) => (values.only === undefined ? part !== 'growth' : values.only.includes(part)));
  if (parts.length === 0) throw new UsageError(`--only takes one of ${PARTS.join(', ')}`);
  return {
    against: values.against === undefined ? undefined : path.resolve(values.against),
    parts,
    row: values.row ?? '',
    large: values.large ?? false,
  };
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

async function bench(servers: Servers, { against, parts, row, large }: Options): Promise<void> {
  if (parts.includes('start')) for (const line of await benchStart(servers, against)) process.stdout.write(`${line}\n`);
  if (parts.includes('http')) for (const line of await benchHttp(servers, CHECKOUT, against, row)) process.stdout.write(`${line}\n`);
  if (parts.includes('growth')) for (const line of await benchGrowth(servers, row, large)) process.stdout.write(`${line}\n`);
  const services = parts.filter((part) => part !== 'start' && part !== 'http' && part !== 'growth');
  if (services.length > 0) await benchServices(servers, services);
}

async function main(): Promise<number> {
  const options = readOptions();
  const interrupted = interruption();
  const servers = await Servers.open();
  try {
    await Promise.race([bench(servers, options), interrupted]);
    return 0;
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
