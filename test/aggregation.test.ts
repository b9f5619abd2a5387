// Rollups against a plain count of the raw rows: whatever the order of events, the number of workers, and whoever is killed in between.
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { BIN_STARTS } from '../src/models/statistics/bins';
import { ROLLUP_LOCK_ID } from '../src/models/statistics/rollup-statements';
import { loadStatisticsJobs, noMarks, type StatisticsJobs } from './helpers/statistics';
import { isDatabaseUnavailable } from '../src/infra/database';
import { eventually, startSystem, type Account, type System } from './helpers/system';

type Row = Record<string, unknown>;
const HOUR = 3_600_000;
const hourOf = (moment: unknown): string => new Date(Math.floor((moment as Date).getTime() / HOUR) * HOUR).toISOString();
const seconds = (from: unknown, to: unknown): number => ((to as Date).getTime() - (from as Date).getTime()) / 1000;
const binOf = (value: number): number =>
  Math.max(
    0,
    BIN_STARTS.findLastIndex((start) => start <= value),
  );

/** Figures by bucket, made of nothing but the raw rows, one by one. */
class Count {
  readonly buckets = new Map<string, Record<string, number | number[]>>();

  add(domain: unknown, direction: string, hour: string, changes: Record<string, number>, bins: Record<string, number> = {}): void {
    const all = direction === 'from' ? [`${String(domain)} from ${hour}`, ` from ${hour}`] : [`${String(domain)} to ${hour}`];
    for (const name of all) {
      const bucket = this.buckets.get(name) ?? {};
      for (const [figure, change] of Object.entries(changes)) bucket[figure] = ((bucket[figure] as number | undefined) ?? 0) + change;
      for (const [figure, value] of Object.entries(bins)) {
        const counted = (bucket[figure] as number[] | undefined) ?? BIN_STARTS.map(() => 0);
        counted[binOf(value)] = (counted[binOf(value)] ?? 0) + 1;
        bucket[figure] = counted;
      }
      this.buckets.set(name, bucket);
    }
  }
}

async function countMessages(system: System): Promise<Count['buckets']> {
  const count = new Count();
  const messages = await system.rows('SELECT * FROM statistics_messages');
  const devices = await system.rows('SELECT * FROM statistics_message_devices');
  for (const message of messages) {
    const hour = hourOf(message['sent_at']);
    const encrypted = message['encrypted'] ? 1 : 0;
    count.add(message['from_domain'], 'from', hour, { messages: 1, encrypted, devices: 0, delivered: 0 });
    const received = new Set<unknown>();
    for (const device of devices.filter(({ message_id: id }) => id === message['id'])) {
      const status = device['last_status'] as number;
      const delivered = status >= 200 && status < 300;
      const delays: Record<string, number> = delivered ? { delays: seconds(message['sent_at'], device['received_at']) } : {};
      const changes = { devices: 1, delivered: delivered ? 1 : 0 };
      count.add(message['from_domain'], 'from', hour, changes, delays);
      const first = !received.has(device['to_domain']);
      received.add(device['to_domain']);
      count.add(device['to_domain'], 'to', hour, { messages: first ? 1 : 0, encrypted: first ? encrypted : 0, ...changes }, delays);
    }
  }
  return count.buckets;
}

async function countCalls(system: System): Promise<Count['buckets']> {
  const count = new Count();
  const calls = await system.rows('SELECT * FROM statistics_calls');
  const devices = await system.rows('SELECT * FROM statistics_call_devices');
  for (const call of calls) {
    const own = devices.filter(({ call_id: id }) => id === call['id']);
    const answered = own.some((device) => device['invite_terminated_state'] === 'accepted');
    const over = call['ended_at'] !== null || (own.length > 0 && own.every((device) => device['invite_terminated_at'] !== null));
    const length = call['ended_at'] === null ? 0 : seconds(call['initiated_at'], call['ended_at']);
    for (const direction of ['from', 'to']) {
      const where = [call[`${direction}_domain`], direction, hourOf(call['initiated_at'])] as const;
      const changes = {
        calls: 1,
        answered: answered ? 1 : 0,
        missed: !answered && over ? 1 : 0,
        ended: call['ended_at'] === null ? 0 : 1,
        seconds: Math.max(0, length),
      };
      count.add(...where, changes, answered && call['ended_at'] !== null ? { durations: length } : {});
      for (const { rang_at: rang, invite_terminated_at: end } of own)
        if (rang !== null && end !== null) count.add(...where, {}, { rings: seconds(rang, end) });
    }
  }
  return count.buckets;
}

/** The rollups in the same form; empty bins are none. */
async function rolledUp(system: System, table: string): Promise<Count['buckets']> {
  const rows = await system.rows(`SELECT * FROM ${table}`);
  return new Map(
    rows.map(({ domain, direction, hour, ...figures }: Row) => [
      `${String(domain)} ${String(direction)} ${hourOf(hour)}`,
      Object.fromEntries(
        Object.entries(figures)
          .filter(([, value]) => !Array.isArray(value) || value.some((bin) => bin > 0))
          .map(([name, value]) => [name, Array.isArray(value) ? (value as number[]) : Number(value)]),
      ),
    ]),
  );
}

async function expectEqual(system: System): Promise<void> {
  expect(await rolledUp(system, 'statistics_message_rollups')).toEqual(await countMessages(system));
  expect(await rolledUp(system, 'statistics_call_rollups')).toEqual(await countCalls(system));
}

/** A worker's connection is cut in the middle of its work, as by a kill: whoever holds the lock of rollups. */
const killAggregation = (system: System): Promise<unknown> =>
  system.rows(
    `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    [ROLLUP_LOCK_ID],
  );

/** A kill may hit an aggregation of the same moment: what it leaves is counted at the end. Any other error is a fault. */
const passKill = (error: unknown): void => {
  if (!isDatabaseUnavailable(error)) throw error;
};

describe('any sequence of events, with kills in between', () => {
  let system: System;
  let reporter: Account;
  const jobs: StatisticsJobs[] = [];
  beforeAll(async () => {
    // No worker: aggregations are run, several at once, and killed from here.
    system = await startSystem({ webs: 2, workers: 0 });
    reporter = await system.account('flexisip', { admin: true });
    while (jobs.length < 3) jobs.push(await loadStatisticsJobs(system));
    // Sequelize says so for each connection that a kill takes.
    jest.spyOn(console, 'warn').mockImplementation(() => undefined);
  });
  afterAll(async () => {
    jest.restoreAllMocks();
    await Promise.all(jobs.map(({ close }) => close()));
    await system.stop();
  });

  const domain = fc.constantFrom('a.org', 'b.org', 'C.org');
  const user = fc.constantFrom('alice', 'bob');
  const id = fc.integer({ min: 0, max: 4 });
  /** Around the end of a month, some to the hour. */
  const time = fc
    .oneof(
      fc.integer({ min: -3 * 3600, max: 3 * 3600 }),
      fc.integer({ min: -2, max: 2 }).map((hours) => hours * 3600),
    )
    .map((offset) => new Date(Date.UTC(2026, 3, 1) + offset * 1000).toISOString());
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ do: fc.constant('message' as const), id, user, domain, time, encrypted: fc.boolean() }) },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('received' as const),
        id,
        user,
        domain,
        device: id,
        status: fc.constantFrom(200, 202, 408, 503),
        time,
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constant('call' as const), id, user, domain, to: domain, time, ended: fc.option(time, { freq: 1 }) }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('rings' as const), id, device: id, time }) },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('invited' as const),
        id,
        device: id,
        time,
        state: fc.constantFrom('accepted', 'declined', 'canceled'),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('ends' as const), id, time }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('account deleted' as const), user }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('aggregations' as const), workers: fc.integer({ min: 1, max: 3 }) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('killed' as const), after: fc.integer({ min: 0, max: 12 }) }) },
  );
  type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

  const send = (method: string, route: string, body?: object): Promise<unknown> =>
    system.api(route, { method, key: reporter.key, ...(body ? { body } : {}) });
  let run = '';

  async function take(one: Step): Promise<void> {
    switch (one.do) {
      case 'message':
        await send('POST', '/statistics/messages', {
          id: `${run}${one.id}`,
          from: `${one.user}@${one.domain}`,
          sent_at: one.time,
          encrypted: one.encrypted,
        });
        break;
      case 'received':
        await send('PATCH', `/statistics/messages/${run}${one.id}/to/${one.user}@${one.domain}/devices/${one.device}`, {
          last_status: one.status,
          received_at: one.time,
        });
        break;
      case 'call':
        await send('POST', '/statistics/calls', {
          id: `${run}${one.id}`,
          from: `${one.user}@${one.domain}`,
          to: `x@${one.to}`,
          initiated_at: one.time,
          ended_at: one.ended,
        });
        break;
      case 'rings':
        await send('PATCH', `/statistics/calls/${run}${one.id}/devices/${one.device}`, { rang_at: one.time });
        break;
      case 'invited':
        await send('PATCH', `/statistics/calls/${run}${one.id}/devices/${one.device}`, {
          invite_terminated: { at: one.time, state: one.state },
        });
        break;
      case 'ends':
        await send('PATCH', `/statistics/calls/${run}${one.id}`, { ended_at: one.time });
        break;
      case 'account deleted': {
        // Two at once: one of them makes and deletes it.
        const account = await system.account(one.user, { domain: 'a.org' }).catch(() => undefined);
        if (account) await send('DELETE', `/accounts/${account.id}`);
        break;
      }
      case 'aggregations':
        await Promise.all(jobs.slice(0, one.workers).map(({ aggregate }) => aggregate().catch(passKill)));
        break;
      case 'killed': {
        const work = jobs[0]?.aggregate().catch(passKill);
        await new Promise((resolve) => setTimeout(resolve, one.after));
        await killAggregation(system);
        await work;
        break;
      }
    }
  }

  test('ends with the figures of a plain count', async () => {
    await system.space('a.org');
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 5, maxLength: 80, size: 'max' }),
        fc.integer({ min: 1, max: 8 }),
        async (steps, width) => {
          // A shrunk sequence must not meet the rows of the one before.
          for (const table of [
            'messages',
            'message_devices',
            'message_keys',
            'message_rollups',
            'calls',
            'call_devices',
            'call_keys',
            'call_rollups',
          ])
            await system.rows(`DELETE FROM statistics_${table}`);
          await system.rows('DELETE FROM statistics_dirty_buckets');
          run = randomUUID();
          for (let index = 0; index < steps.length; index += width) await Promise.all(steps.slice(index, index + width).map(take));
          for (;;) {
            await jobs[0]?.aggregate();
            if ((await system.rows('SELECT 1 FROM statistics_dirty_buckets LIMIT 1')).length === 0) break;
          }
          await expectEqual(system);
        },
      ),
      { numRuns: 60, endOnFailure: true },
    );
  }, 180_000);
});

describe('a replay', () => {
  // All of 100,000 take some minutes on two cores: REPLAY_EVENTS=100000.
  const EVENTS = Number(process.env['REPLAY_EVENTS'] ?? 20_000);
  let system: System;
  let reporter: Account;
  beforeAll(async () => {
    system = await startSystem({ webs: 2, workers: 2 });
    reporter = await system.account('flexisip', { admin: true });
  });
  afterAll(() => system.stop());

  test(`of ${EVENTS} events through two web and two worker processes, workers killed in between: rollups equal the raw counts`, async () => {
    const base = Date.UTC(2026, 0, 1);
    const iso = (offset: number): string => new Date(base + offset * 1000).toISOString();
    let sent = 0;
    let next = 0;
    const send = async (method: string, route: string, body: object): Promise<void> => {
      const { status } = await system.api(`/statistics${route}`, { method, key: reporter.key, body });
      if (status !== 200 && status !== 201) throw new Error(`${method} ${route}: ${status}`);
      sent += 1;
    };
    // As Flexisip does: one request under way for an id, many ids at once. Five events a message and its call.
    const one = async (n: number): Promise<void> => {
      const at = (n * 37) % (90 * 24 * 3600);
      const [from, to] = [`u${n % 50}@d${n % 7}.org`, `v${n % 30}@d${(n * 3) % 11}.org`];
      await send('POST', '/messages', { id: `m${n}`, from, sent_at: iso(at), encrypted: n % 3 === 0 });
      const status = n % 9 === 0 ? 503 : 200;
      await send('PATCH', `/messages/m${n}/to/${to}/devices/d`, { last_status: status, received_at: iso(at + (n % 40)) });
      await send('POST', '/calls', { id: `c${n}`, from, to, initiated_at: iso(at), ended_at: null });
      const invite_terminated = { at: iso(at + 5 + (n % 20)), state: n % 4 === 0 ? 'declined' : 'accepted' };
      await send('PATCH', `/calls/c${n}/devices/d`, { rang_at: iso(at + 1), invite_terminated });
      await send('PATCH', `/calls/c${n}`, { ended_at: iso(at + 30 + (n % 600)) });
    };
    const KILLS = 5;
    let kills = 0;
    // By events, not by time: a fast machine is through before long.
    const killer = async (): Promise<void> => {
      while (kills < KILLS) {
        await eventually(
          () => Promise.resolve(sent),
          (events) => events >= ((kills + 1) * EVENTS) / (KILLS + 1),
          240,
        );
        const victim = system.workers.shift();
        await victim?.end('SIGKILL');
        kills += 1;
        await system.startWorker();
      }
    };
    const client = async (): Promise<void> => {
      for (let n = next++; n < EVENTS / 5; n = next++) await one(n);
    };
    await Promise.all([killer(), ...Array.from({ length: 100 }, client)]);
    expect(sent).toBe(EVENTS);
    expect(kills).toBe(KILLS);
    await noMarks(system, 60);

    const rows = (sql: string): Promise<Row[]> => system.rows(sql);
    expect(
      await rows(`SELECT count(*)::int AS messages, count(*) FILTER (WHERE encrypted)::int AS encrypted FROM statistics_messages`),
    ).toEqual(
      await rows(
        `SELECT sum(messages)::int AS messages, sum(encrypted)::int AS encrypted FROM statistics_message_rollups WHERE domain = ''`,
      ),
    );
    // By bucket, counted by PostgreSQL in the plainest way.
    expect(
      await rows(
        `SELECT from_domain AS domain, date_trunc('hour', sent_at) AS hour, count(*)::int AS n FROM statistics_messages GROUP BY 1, 2
         EXCEPT SELECT domain, hour, messages FROM statistics_message_rollups WHERE direction = 'from'`,
      ),
    ).toEqual([]);
    expect(
      await rows(
        `SELECT to_domain AS domain, date_trunc('hour', initiated_at) AS hour, count(*)::int AS n FROM statistics_calls GROUP BY 1, 2
         EXCEPT SELECT domain, hour, calls FROM statistics_call_rollups WHERE direction = 'to'`,
      ),
    ).toEqual([]);
    const [{ answered } = {}] = await rows(
      "SELECT count(*)::int AS answered FROM statistics_call_devices WHERE invite_terminated_state = 'accepted'",
    );
    const { json } = await system.api('/statistics/calls?from=2026-01-01&to=2026-05-01&by=month', { key: reporter.key });
    expect(json['total']).toMatchObject({ calls: EVENTS / 5, answered });
    const messages = await system.api('/statistics/messages?from=2026-01-01&to=2026-05-01&by=day', { key: reporter.key });
    expect(messages.json['total']).toMatchObject({ messages: EVENTS / 5, devices: EVENTS / 5 });
  }, 300_000);
});
