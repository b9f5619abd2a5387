// npm run bench [-- --against <checkout>] [--only <part>] [--row <text>]: ratios within one run, since machines are noisy. Needs nothing
// running; uses the servers of DATABASE_URL and REDIS_URL where they are named, in databases and under a prefix of its own. `--row` takes of
// the measurements over HTTP those whose name has the text in it.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { prepareDatabase } from './checkout';
import { interruption } from './command';
import { benchHttp } from './http';
import { benchOverload } from './overload';
import { say, Servers } from './servers';
import { benchStart } from './start';

const PARTS = ['start', 'http', 'overload', 'batching', 'reading', 'space-deletion', 'account-pages'] as const;
type Part = (typeof PARTS)[number];
/** This file is dist/bench/main.js. */
const CHECKOUT = path.join(__dirname, '..', '..');

interface Options {
  against: string | undefined;
  parts: readonly Part[];
  row: string;
}

class UsageError extends Error {}

/** @throws {UsageError | TypeError} for a wrong option; node's parser throws the second */
function readOptions(): Options {
  const { values } = parseArgs({
    options: { against: { type: 'string' }, only: { type: 'string', multiple: true }, row: { type: 'string' } },
  });
  const parts = PARTS.filter((part) => values.only === undefined || values.only.includes(part));
  if (parts.length === 0) throw new UsageError(`--only takes one of ${PARTS.join(', ')}`);
  return { against: values.against === undefined ? undefined : path.resolve(values.against), parts, row: values.row ?? '' };
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

async function bench(servers: Servers, { against, parts, row }: Options): Promise<void> {
  if (parts.includes('start')) for (const line of await benchStart(against)) process.stdout.write(`${line}\n`);
  if (parts.includes('http')) for (const line of await benchHttp(servers, CHECKOUT, against, row)) process.stdout.write(`${line}\n`);
  if (parts.includes('overload')) for (const line of await benchOverload(servers, CHECKOUT)) process.stdout.write(`${line}\n`);
  const services = parts.filter((part) => part !== 'start' && part !== 'http' && part !== 'overload');
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
