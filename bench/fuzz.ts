// npm run fuzz [-- --requests 100000 --seed 1 --only <text> --concurrency 8 --minutes 60 --limits --replay <index>]: generated requests to every
// endpoint of the document and every page, by all roles, right and wrong, against a system that is booted for it. Ends with 1 where an answer is a
// server's fault, late, broken, or not as the document declares it, and where an endpoint never succeeds. Nothing but 127.0.0.1 is asked.
import { parseArgs } from 'node:util';
import { runCommand } from './command';
import { Cast } from './fuzz-rows';
import { report, Run, type Options } from './fuzz-run';
import { faultsLogged, startTarget } from './fuzz-system';
import { say, Servers } from './servers';

const DEFAULTS = { requests: 100_000, seed: 1, concurrency: 8, minutes: 120 };

function parse(): Options & { limits: boolean } {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: { requests: text, seed: text, only: text, concurrency: text, minutes: text, replay: text, limits: { type: 'boolean' } },
  });
  const number = (name: 'requests' | 'seed' | 'concurrency' | 'minutes' | 'replay', fallback: number): number => {
    const value = values[name] === undefined ? fallback : Number(values[name]);
    if (!(value >= 0)) throw new TypeError(`--${name} takes a number`);
    return value;
  };
  return {
    requests: number('requests', DEFAULTS.requests),
    seed: number('seed', DEFAULTS.seed),
    concurrency: number('concurrency', DEFAULTS.concurrency),
    minutes: number('minutes', DEFAULTS.minutes),
    only: values.only ?? '',
    limits: values.limits ?? false,
    ...(values.replay === undefined ? {} : { replay: number('replay', 0) }),
    say,
  };
}

async function main(): Promise<number> {
  const options = parse();
  let run: Run | undefined;
  const interrupted = new Promise<never>((_, reject) => {
    const end = (signal: string): void => (run ? run.stop() : reject(new Error(`ended by ${signal}`)));
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, end);
  });
  interrupted.catch(() => undefined);
  const servers = await Servers.open(['fsync=off']);
  try {
    say(`Seed ${options.seed}`);
    const cast = new Cast();
    const target = await Promise.race([startTarget(servers, cast, options), interrupted]);
    run = await Run.open(target, cast, options);
    const outcome = await run.go();
    process.stdout.write(`${report(outcome, options.seed)}\n`);
    const logged = ['web', 'web-tls', 'worker'].flatMap((name) =>
      faultsLogged(servers.directory, name).map((line) => `${name}: ${line.slice(0, 500)}`),
    );
    for (const line of [...new Set(logged)].slice(0, 20)) say(line);
    return outcome.faults.length > 0 || outcome.lateOnce > 0 || (outcome.unreached.length > 0 && !options.limits) ? 1 : 0;
  } finally {
    await servers.close();
  }
}

runCommand(main);
