// One, two and four web processes on one machine: the same clients spread over them, rounds of all three alternate.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ADMIN, authorized, DOMAIN, fillAccounts, fillBasics, getting, usernameOf } from './growth-rows';
import { driveAll, connectAll } from './growth-load';
import { costOf, openDatabase, startProgram } from './growth-system';
import { figure, markdownTable } from './growth-table';
import type { Client } from './load';
import { median } from './median';
import { say, type Servers } from './servers';

const COUNTS = [1, 2, 4] as const;
const LINES = 64;
const ACCOUNTS = 1000;
const ROUNDS = 8;
const ROUND = { ms: 1000, max: 50_000 };
const IDLE_MS = 5000;

/** A message of its own each time. */
const reporting: Client = () => ({
  method: 'POST',
  path: '/api/statistics/messages',
  headers: authorized(ADMIN),
  body: { id: randomUUID(), from: `alice@${DOMAIN}`, sent_at: new Date().toISOString(), encrypted: true },
});

const ROWS: Record<string, Client> = {
  ping: getting('/api/ping', ADMIN),
  'me by API key': getting('/api/accounts/me', () => usernameOf(Math.floor(Math.random() * ACCOUNTS))),
  'statistics: a message': reporting,
};

/** @returns lines to print */
export async function growProcesses(servers: Servers): Promise<string[]> {
  const database = await openDatabase(servers);
  await fillBasics(database.db);
  await fillAccounts(database.db, ACCOUNTS);
  const webs = await Promise.all(Array.from({ length: Math.max(...COUNTS) }, () => startProgram(servers, 'web', database)));
  const rows: string[][] = [];
  for (const [name, client] of Object.entries(ROWS)) {
    say(`Measuring ${name} …`);
    const measured = [];
    for (const count of COUNTS) {
      const used = webs.slice(0, count);
      const lines = await connectAll(
        LINES,
        used.map(({ port }) => port),
      );
      const pids = used.map(({ pid }) => pid);
      measured.push({
        count,
        lines,
        pids,
        perSecond: [] as number[],
        requests: 0,
        refused: 0,
        webMs: 0,
        postgresMs: 0,
        p99: [] as number[],
      });
    }
    // The first round is for what is compiled and opened once.
    for (let round = 0; round <= ROUNDS; round += 1) {
      for (const sums of round % 2 === 0 ? measured.toReversed() : measured) {
        const work = (): ReturnType<typeof driveAll> => driveAll(sums.lines, [client], ROUND);
        const { result, programsMs, postgresMs } = await costOf(database.db, sums.pids, work);
        if (round === 0) continue;
        sums.perSecond.push((result.requests * 1000) / result.ms);
        sums.p99.push(result.times.toSorted((a, b) => a - b)[Math.floor(result.times.length * 0.99)] ?? 0);
        sums.requests += result.requests;
        sums.refused += result.refused;
        sums.webMs += programsMs;
        sums.postgresMs += postgresMs;
      }
    }
    for (const { lines } of measured) for (const connection of lines) connection.close();
    const one = median(measured[0]?.perSecond ?? []);
    for (const { count, perSecond, requests, refused, webMs, postgresMs, p99 } of measured)
      rows.push([
        count === 1 ? name : '',
        String(count),
        figure(median(perSecond)),
        figure(median(perSecond) / one),
        figure(webMs / requests),
        figure(postgresMs / requests),
        figure((requests * 1000) / webMs),
        figure(median(p99)),
        String(refused),
      ]);
  }
  const idle = await costOf(
    database.db,
    webs.map(({ pid }) => pid),
    () => sleep(IDLE_MS),
  );
  const table = markdownTable(
    [
      `${LINES} clients at once`,
      '`web`',
      'per second',
      '÷ one',
      'CPU ms of `web`',
      'CPU ms of PostgreSQL',
      'per CPU second of `web`',
      'slowest 1 %, ms',
      '503',
    ],
    rows,
  );
  return [...table, '', `A \`web\` that nobody asks takes ${figure((idle.programsMs * 1000) / IDLE_MS / webs.length)} ms of CPU a second.`];
}
