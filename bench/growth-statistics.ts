// Reporting and reading statistics where little is stored and where much is: each has a database and a web process of its own, and rounds of
// both alternate.
import { randomUUID } from 'node:crypto';
import { DateTime } from 'luxon';
import type pg from 'pg';
import { BIN_COUNT } from '../src/models/statistics/bins';
import { ADMIN, authorized, DOMAIN, fillBasics, getting } from './growth-rows';
import type { Connection } from './connection';
import { connectAll, driveAll, type Driven } from './growth-load';
import { costOf, diskOf, openDatabase, startProgram, type Cost, type Database, type Program } from './growth-system';
import { figure, markdownTable, size } from './growth-table';
import type { Client } from './load';
import { median } from './median';
import { say, type Servers } from './servers';

const STORED = [100_000, 10_000_000] as const;
/** A message has a key, a row, and two devices. */
const ROWS_PER_MESSAGE = 4;
const LINES = 64;
const ROUNDS = 16;
const ROUND = { ms: 700, max: 20_000 };
const READS = { ms: 400, max: 40 };
/** Messages of so many domains. */
const DOMAINS = 20;

/** The last month and this one until now, as reports of the day would have filled them. */
function monthsUntilNow(): { month: string; from: string; until: string; end: string }[] {
  const now = DateTime.utc();
  return [now.startOf('month').minus({ months: 1 }), now.startOf('month')].map((month) => ({
    month: month.toFormat('yyyy_MM'),
    from: month.toISO(),
    until: month.plus({ months: 1 }).toISO(),
    end: DateTime.min(month.plus({ months: 1 }), now).toISO(),
  }));
}

/**
 * Fills the tables of messages. Months are filled before they have indexes, which are built when they are attached: tenfold as fast, and what is
 * measured is the same table. Ids stand in the order of their rows, evenly over all there may be, so that the index needs no sorting; new ones
 * fall between them anywhere, as they do always.
 */
async function fillMessages(db: pg.Pool, messages: number): Promise<void> {
  const spread = `lpad(to_hex(n::bigint * ${Math.floor(2 ** 32 / messages)}), 8, '0') || '-4bec-4bec-8bec-' || lpad(to_hex(n), 12, '0')`;
  const months = monthsUntilNow();
  const share = Math.ceil(messages / months.length);
  await db.query('ALTER TABLE statistics_message_keys DROP CONSTRAINT statistics_message_keys_pkey');
  for (const [n, { month, from, until, end }] of months.entries()) {
    const [first, last] = [n * share, Math.min(messages, (n + 1) * share) - 1];
    const moment = `timestamptz '${from}' + (n - ${first}) * ((timestamptz '${end}' - timestamptz '${from}') / ${share})`;
    const series = `(SELECT ${spread} AS id, 'd' || n % ${DOMAINS} || '.${DOMAIN}' AS domain, ${moment} AS moment, n FROM generate_series(${first}, ${last}) n) s`;
    const inserts = {
      statistics_messages: `(id, from_username, from_domain, sent_at, encrypted, created_at, updated_at)
        SELECT id, 'user' || n % 5000, domain, moment, true, moment, moment FROM ${series}`,
      statistics_message_devices: `(id, message_id, to_username, to_domain, device_id, last_status, received_at, sent_at, reports, created_at, updated_at)
        SELECT n * 2 + d, id, 'user' || (n * 7) % 5000, domain, '"<urn:uuid:00000000-0000-4000-8000-' || lpad(((n * 7) % 5000 * 2 + d)::text, 12, '0') || '>"',
               200, moment + interval '1 second', moment, 1, moment, moment FROM ${series}, generate_series(0, 1) d`,
    };
    for (const [table, insert] of Object.entries(inserts)) {
      const partition = `${table}_${month}`;
      await db.query(`DROP TABLE ${partition}; CREATE TABLE ${partition} (LIKE ${table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)`);
      await db.query(`INSERT INTO ${partition} ${insert}`);
      await db.query(`ALTER TABLE ${table} ATTACH PARTITION ${partition} FOR VALUES FROM ('${from}') TO ('${until}')`);
    }
    await db.query(`INSERT INTO statistics_message_keys (id, from_domain, sent_at) SELECT id, domain, moment FROM ${series}`);
  }
  await db.query('ALTER TABLE statistics_message_keys ADD CONSTRAINT statistics_message_keys_pkey PRIMARY KEY (id)');
  await db.query(`SELECT setval(pg_get_serial_sequence('statistics_message_devices', 'id'), $1)`, [messages * 2 + 2]);
}

/** Figures of a year by hour of the domains and of all together, as many messages as there are in a year of such months. */
async function fillRollups(db: pg.Pool, messages: number): Promise<void> {
  await db.query(
    `INSERT INTO statistics_message_rollups (domain, direction, hour, messages, encrypted, devices, delivered, delays)
     SELECT domain, direction, date_trunc('hour', now(), 'UTC') - h * interval '1 hour', $1, $1, $1 * 2, $1 * 2, array_fill(greatest(1, $1 / 30), ARRAY[${BIN_COUNT}])
       FROM (SELECT 'd' || n || '.${DOMAIN}' AS domain FROM generate_series(0, ${DOMAINS - 1}) n UNION ALL SELECT '${DOMAIN}') d,
            unnest(ARRAY['from', 'to']) direction, generate_series(0, 365 * 24) h`,
    [Math.ceil(messages / (61 * 24) / DOMAINS)],
  );
}

interface Side extends Database {
  rows: number;
  web: Program;
  seconds: number;
  bytes: number;
}

async function openSide(servers: Servers, rows: number): Promise<Side> {
  say(`Storing ${rows.toLocaleString('en-US')} rows …`);
  const database = await openDatabase(servers);
  await fillBasics(database.db);
  const empty = await diskOf(database.db);
  const started = performance.now();
  await fillMessages(database.db, rows / ROWS_PER_MESSAGE);
  const seconds = (performance.now() - started) / 1000;
  const bytes = (await diskOf(database.db)) - empty;
  await fillRollups(database.db, rows / ROWS_PER_MESSAGE);
  await database.db.query('VACUUM ANALYZE');
  await database.db.query('CHECKPOINT').catch(() => undefined); // Not every user may; it only makes what follows steadier.
  return { ...database, rows, web: await startProgram(servers, 'web', database), seconds, bytes };
}

/** A message, then what a device answered to it, and so on: the client of one connection. */
function reportingClient(): Client {
  let id = '';
  let n = 0;
  return () => {
    n += 1;
    const at = new Date().toISOString();
    const headers = authorized(ADMIN);
    const domain = `d${n % DOMAINS}.${DOMAIN}`;
    if (n % 2 === 0) {
      const path = `/api/statistics/messages/${id}/to/user${n % 5000}@${domain}/devices/%22device${n}%22`;
      return { method: 'PATCH', path, headers, body: { last_status: 200, received_at: at } };
    }
    id = randomUUID();
    return {
      method: 'POST',
      path: '/api/statistics/messages',
      headers,
      body: { id, from: `user${n % 5000}@${domain}`, sent_at: at, encrypted: true },
    };
  };
}

const reading = (by: 'day' | 'month'): Client =>
  getting(
    `/api/statistics/messages?by=${by}&from=${DateTime.utc().minus({ days: 360 }).toISODate()}&to=${DateTime.utc().toISODate()}`,
    ADMIN,
  );

const ROWS: { name: string; lines: number; round: { ms: number; max: number }; client: () => Client }[] = [
  { name: `reports, ${LINES} at once`, lines: LINES, round: ROUND, client: reportingClient },
  { name: 'a report, one at a time', lines: 1, round: READS, client: reportingClient },
  { name: 'a year by day', lines: 1, round: READS, client: () => reading('day') },
  { name: 'a year by month', lines: 1, round: READS, client: () => reading('month') },
];

/** @returns lines to print */
export async function growStatistics(servers: Servers): Promise<string[]> {
  const sides: Side[] = [];
  for (const rows of STORED) sides.push(await openSide(servers, rows));
  const rows: string[][] = [];
  for (const { name, lines: count, round, client } of ROWS) {
    say(`Measuring ${name} …`);
    const measured = sides.map(() => [] as (Cost & { result: Driven })[]);
    const lines = await Promise.all(sides.map(({ web }) => connectAll(count, [web.port])));
    const clients = lines.map((own) => own.map(client));
    for (let n = 0; n <= ROUNDS; n += 1) {
      for (const place of n % 2 === 0 ? [0, 1] : [1, 0]) {
        const { web, db } = sides[place] as Side;
        const cost = await costOf(db, [web.pid], () => driveAll(lines[place] as Connection[], clients[place] as Client[], round));
        // The first round is for what is compiled and opened once.
        if (n > 0) measured[place]?.push(cost);
      }
    }
    for (const connection of lines.flat()) connection.close();
    const rateOf = ({ result }: { result: Driven }): number => (result.requests * 1000) / result.ms;
    const [few = [], many = []] = measured;
    const ratio = median(many.map((cost, n) => rateOf(cost) / rateOf(few[n] as (typeof few)[number])));
    for (const [place, costs] of measured.entries()) {
      const requests = costs.reduce((sum, { result }) => sum + result.requests, 0);
      const sum = (key: 'programsMs' | 'postgresMs'): number => costs.reduce((ms, cost) => ms + cost[key], 0);
      rows.push([
        place === 0 ? name : '',
        (sides[place] as Side).rows.toLocaleString('en-US'),
        figure(median(costs.map(rateOf))),
        place === 0 ? '' : figure(ratio),
        figure(median(costs.flatMap(({ result }) => result.times))),
        figure(sum('programsMs') / requests),
        figure(sum('postgresMs') / requests),
        String(costs.reduce((refused, { result }) => refused + result.refused, 0)),
      ]);
    }
  }
  return [
    ...markdownTable(['request', 'stored rows', 'per second', '÷ few', 'ms', 'CPU ms of `web`', 'CPU ms of PostgreSQL', '503'], rows),
    '',
    ...sides.map(
      ({ rows: stored, seconds, bytes }) =>
        `${stored.toLocaleString('en-US')} rows are ${(stored / ROWS_PER_MESSAGE).toLocaleString('en-US')} messages to two devices each: ${size(bytes)} on disk with indexes, made in ${seconds.toFixed(0)} s`,
    ),
  ];
}
