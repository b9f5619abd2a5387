// Rounds of generated requests: what is there is read, requests are made of it, sent at once, and each answer is judged.
import fc from 'fast-check';
import Table from 'cli-table3';
import { isSend, Judge, LATE, pathOf } from './fuzz-checks';
import type { Plan } from './fuzz-envelopes';
import { Generator, type Draft, type Operation } from './fuzz-requests';
import { type Cast, PASSWORD, readRows, ROLES, type Role } from './fuzz-rows';
import type { FuzzTarget } from './fuzz-system';
import { bytesOf, Client, type Seen } from './fuzz-transport';
import type { Json } from './fuzz-values';

/** Requests between two looks at what is there. */
const ROUND = 150;
/** A fault is looked at so often in search of a smaller request with the same fault. */
const MAX_SHRINKS = 60;
const MAX_FAULTS_SHOWN = 60;
/** With fewer, that none succeeds says little. */
const MIN_REQUESTS_FOR_VERDICT = 20;

export interface Options {
  requests: number;
  seed: number;
  only: string;
  concurrency: number;
  minutes: number;
  /** This request alone is judged; those of its round before it are sent, too. */
  replay?: number;
  say: (line: string) => void;
}

interface Fault {
  index: number;
  kinds: string[];
  plan: Plan;
  seen: Seen;
  smallest: Plan;
  count: number;
}

interface Tally {
  requests: number;
  successes: number;
  statuses: Map<number, number>;
  slowestMs: number;
  faults: number;
  /** Requests that succeeded, by role. */
  roles: Map<Role, number>;
}
const newTally = (): Tally => ({ requests: 0, successes: 0, statuses: new Map(), slowestMs: 0, faults: 0, roles: new Map() });
const nameOf = ({ method, path }: Operation): string => `${method} ${path}`;

/** What came of a run. */
export interface Outcome {
  requests: number;
  seconds: number;
  endpoints: Map<string, Tally>;
  roles: Map<Role, Tally>;
  faults: Fault[];
  /** Answers that were late, and not when the same was asked again, alone: the machine had other things to do, or the requests stood in each other's way. */
  lateOnce: number;
  /** Endpoints that never answered with success, though they were asked often enough. */
  unreached: string[];
}

/** Reads the document, and asks it all. */
export class Run {
  readonly #client: Client;
  readonly #endpoints = new Map<string, Tally>();
  readonly #roles = new Map<Role, Tally>();
  readonly #faults = new Map<string, Fault>();
  #sent = 0;
  #lateOnce = 0;
  #isStopped = false;

  private constructor(
    readonly target: FuzzTarget,
    readonly cast: Cast,
    readonly options: Options,
    readonly generator: Generator,
    readonly judge: Judge,
  ) {
    this.#client = new Client(target.address);
  }

  static async open(target: FuzzTarget, cast: Cast, options: Options): Promise<Run> {
    const answer = await fetch(`http://127.0.0.1:${target.address.port}/api/openapi.json`);
    const document = (await answer.json()) as Json;
    await target.db.query('UPDATE phone_countries SET activated = true');
    return new Run(target, cast, options, new Generator(document, cast, options.seed, options.only), new Judge(document));
  }

  /** Has go() end soon, with what is known by then. */
  stop(): void {
    this.#isStopped = true;
  }

  async go(): Promise<Outcome> {
    const { requests, minutes, replay, say } = this.options;
    const started = performance.now();
    const [first, end] = replay === undefined ? [0, requests] : [replay - (replay % ROUND), replay + 1];
    try {
      for (let from = first; from < end; from += ROUND) {
        if (this.#isStopped || performance.now() - started > minutes * 60_000) {
          say(`Ended before request ${from} of ${end}.`);
          break;
        }
        await this.#round(from, Math.min(end, from + ROUND));
        if ((from / ROUND) % 20 === 19)
          say(`${this.#sent} requests, ${Math.round((performance.now() - started) / 1000)} s, ${this.#faults.size} kinds of faults`);
      }
    } finally {
      this.#client.close();
    }
    const unreached = [...this.#endpoints]
      .filter(([, { requests: asked, successes }]) => asked >= MIN_REQUESTS_FOR_VERDICT && successes === 0)
      .map(([name]) => name);
    return {
      requests: this.#sent,
      seconds: (performance.now() - started) / 1000,
      endpoints: this.#endpoints,
      roles: this.#roles,
      faults: [...this.#faults.values()],
      lateOnce: this.#lateOnce,
      unreached: replay === undefined ? unreached : [],
    };
  }

  async #prepare(from: number): Promise<void> {
    await this.cast.restore(this.target.db, `s${this.options.seed}r${from / ROUND}`);
    await this.target.register(this.cast.members);
    await this.#storeCards();
    this.generator.know(await readRows(this.target.db));
  }

  /** A vCard for each account that has none, or lost it with its account: what its own endpoints are asked for. */
  async #storeCards(): Promise<void> {
    const { rows } = await this.target.db.query<{ id: number }>(
      'SELECT id FROM unnest($1::integer[]) id WHERE NOT EXISTS (SELECT FROM vcards_storage WHERE account_id = id)',
      [this.cast.members.map(({ id }) => id)],
    );
    for (const { key, id } of this.cast.members.filter((member) => rows.some(({ id: lacking }) => lacking === member.id))) {
      const body = JSON.stringify({ vcard: `BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Own\r\nUID:own-${id}\r\nEND:VCARD\r\n` });
      const headers = { 'x-api-key': key, 'content-type': 'application/json' };
      await fetch(`http://127.0.0.1:${this.target.address.port}/api/accounts/me/vcards-storage`, { method: 'POST', headers, body });
    }
  }

  async #round(from: number, end: number): Promise<void> {
    await this.#prepare(from);
    const drafts = Array.from({ length: end - from }, (_, offset) => this.generator.draft(from + offset));
    const plans = drafts.map((draft) => this.generator.plan(draft));
    const broken: { index: number; draft: Draft; plan: Plan; seen: Seen; kinds: string[] }[] = [];
    let next = 0;
    const work = async (): Promise<void> => {
      for (let at = next++; at < plans.length; at = next++) {
        const [draft, plan] = [drafts[at], plans[at]];
        if (!draft || !plan) return;
        const seen = await this.#client.send(plan);
        // A signal may have ended those that were asked, too.
        if (this.#isStopped) return;
        const kinds = this.judge.faultsOf(plan, seen);
        this.#count(draft, plan, seen, kinds);
        const index = from + at;
        if (kinds.length > 0 && (this.options.replay === undefined || this.options.replay === index))
          broken.push({ index, draft, plan, seen, kinds });
      }
    };
    await Promise.all(Array.from({ length: this.options.concurrency }, work));
    for (const { index, draft, plan, seen, kinds: all } of broken.toSorted((a, b) => a.index - b.index)) {
      if (this.#isStopped) return;
      const kinds = await this.#confirmed(plan, all);
      if (kinds.length === 0) continue;
      const key = keyOf(this.judge.operationOf(plan.method, plan.target), kinds);
      const known = this.#faults.get(key);
      if (known) known.count += 1;
      else this.#faults.set(key, { index, kinds, plan, seen, smallest: await this.#shrink(draft, kinds, plan), count: 1 });
    }
  }

  /** Those faults that are there again when the same is asked alone: not what is late only in a crowd, nor unsent for an account that another request deleted. */
  async #confirmed(plan: Plan, kinds: string[]): Promise<string[]> {
    const doubtful = [LATE, ...(isSend(plan) ? ['status 503'] : [])].filter((kind) => kinds.includes(kind));
    if (doubtful.length === 0) return kinds;
    const again = this.judge.faultsOf(plan, await this.#client.send(plan));
    const passing = doubtful.filter((kind) => !again.includes(kind));
    if (passing.includes(LATE)) this.#lateOnce += 1;
    return kinds.filter((kind) => !passing.includes(kind));
  }

  #count({ operation, role }: Draft, plan: Plan, { status, ms }: Seen, kinds: string[]): void {
    this.#sent += 1;
    // A method or path that was spoiled may reach another endpoint.
    const success =
      status >= 200 && status < (operation.isPage ? 400 : 300) && (plan.method === operation.method || plan.method === 'HEAD');
    const tallies = [
      [this.#endpoints, nameOf(operation)],
      [this.#roles, role],
    ] as [Map<string, Tally>, string][];
    for (const [map, name] of tallies) {
      const tally = map.get(name) ?? newTally();
      map.set(name, tally);
      tally.requests += 1;
      tally.statuses.set(status, (tally.statuses.get(status) ?? 0) + 1);
      tally.slowestMs = Math.max(tally.slowestMs, ms);
      if (success) {
        tally.successes += 1;
        tally.roles.set(role, (tally.roles.get(role) ?? 0) + 1);
      }
      if (kinds.length > 0) tally.faults += 1;
    }
  }

  /** A smaller request with the same faults, found by fast-check. */
  async #shrink({ arbitrary, seed }: Draft, kinds: string[], plan: Plan): Promise<Plan> {
    let smallest = plan;
    let tries = 0;
    const isSame = async (candidate: Plan): Promise<boolean> => {
      tries += 1;
      if (tries > MAX_SHRINKS) return false;
      const found = this.judge.faultsOf(candidate, await this.#client.send(candidate));
      const same = kinds.every((kind) => found.includes(kind));
      if (same) smallest = candidate;
      return same;
    };
    await fc.check(
      fc.asyncProperty(arbitrary, async (candidate) => !(await isSame(candidate))),
      { seed, numRuns: 1, interruptAfterTimeLimit: 10_000 },
    );
    return smallest;
  }
}

/** Faults with the same key are the same to a person. What no endpoint has answered is not one of each endpoint. */
function keyOf(operation: Operation | undefined, kinds: string[]): string {
  const all = kinds.map((kind) => kind.replace(/\d+/g, '#')).join('; ');
  return operation && !kinds.includes('no x-request-id') ? `${nameOf(operation)}: ${all}` : all;
}

const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;
const isPlain = (text: string): boolean => /^[\t\n\r -~]*$/.test(text);

/** A line of a shell that sends the request again; `$URL` is the server. */
export function asShell(plan: Plan): string {
  const { method, target, headers, body, transport, member } = plan;
  if (transport === 'raw') return `printf %s ${bytesOf(plan).toString('base64')} | base64 -d | nc -q 2 127.0.0.1 $PORT`;
  const lines = headers.map(([name, value]) => ` -H ${quoted(value === '' ? `${name};` : `${name}: ${value}`)}`).join('');
  const digest = member?.role === 'digest' ? ` --digest -u ${quoted(`${member.username}:${PASSWORD}`)}` : '';
  const text = body?.toString('utf8') ?? '';
  const data = body && (isPlain(text) && body.length < 3000 ? ` --data-raw ${quoted(text)}` : ' --data-binary @-');
  const before = data === ' --data-binary @-' ? `printf %s ${(body as Buffer).subarray(0, 3000).toString('base64')} | base64 -d | ` : '';
  const protocol = transport === 'http1' ? '' : transport === 'http2' ? ' -k --http2' : ' -k --http1.1';
  return `${before}curl -s -i${protocol} -X ${quoted(method)} --path-as-is${digest}${lines}${data ?? ''} "$URL"${quoted(target.slice(0, 3000))}`;
}

const share = ({ requests, successes }: Tally): string => `${((100 * successes) / Math.max(1, requests)).toFixed(1)} %`;
const statusesOf = ({ statuses }: Tally): string =>
  [...statuses]
    .toSorted(([a], [b]) => a - b)
    .map(([status, count]) => `${status || 'cut'}×${count}`)
    .join(' ');

/** What a person reads of a run. */
export function report({ requests, seconds, endpoints, roles, faults, lateOnce, unreached }: Outcome, seed: number): string {
  const head = ['', 'requests', '2xx', 'slowest ms', 'faults', 'statuses', '2xx by role'];
  const table = new Table({
    head,
    style: { head: [], border: [] },
    colWidths: [undefined, undefined, undefined, undefined, undefined, 60, 60] as never,
    wordWrap: true,
  });
  const row = (name: string, tally: Tally): string[] => [
    name,
    String(tally.requests),
    share(tally),
    tally.slowestMs.toFixed(0),
    String(tally.faults),
    statusesOf(tally),
    ROLES.map((role) => [role, tally.roles.get(role) ?? 0] as const)
      .filter(([, count]) => count > 0)
      .map(([role, count]) => `${role} ${count}`)
      .join(', '),
  ];
  for (const [name, tally] of endpoints) table.push(row(name, tally));
  for (const role of ROLES) table.push(row(`(${role})`, { ...(roles.get(role) ?? newTally()), roles: new Map() }));
  const shown = faults
    .slice(0, MAX_FAULTS_SHOWN)
    .flatMap(({ index, kinds, plan, seen, smallest, count }) => [
      `\nFAULT, ${count} times: ${plan.method} ${pathOf(plan.target).slice(0, 200)}: ${kinds.join('; ')}`,
      `  request ${index} of seed ${seed} (--seed ${seed} --replay ${index}), ${plan.member?.username ?? 'a stranger'}${plan.spoiled.length > 0 ? `, spoiled: ${plan.spoiled.join(', ')}` : ''}, over ${plan.transport}`,
      `  answer: ${seen.status} after ${seen.ms.toFixed(0)} ms: ${seen.body.toString('utf8').slice(0, 400)}`,
      `  smallest: ${asShell(smallest).slice(0, 1500)}`,
    ]);
  const successes = [...endpoints.values()].reduce((sum, tally) => sum + tally.successes, 0);
  return [
    table.toString(),
    ...shown,
    ...(faults.length > MAX_FAULTS_SHOWN ? [`… and ${faults.length - MAX_FAULTS_SHOWN} kinds more`] : []),
    ...(lateOnce > 0 ? [`LATE, but not when asked again alone: ${lateOnce} answers`] : []),
    ...unreached.map((name) => `NEVER 2xx: ${name}`),
    `${requests} requests of seed ${seed} in ${seconds.toFixed(0)} s (${(requests / seconds).toFixed(0)}/s), ${((100 * successes) / requests).toFixed(1)} % of them 2xx; ` +
      `${faults.reduce((sum, { count }) => sum + count, 0)} faults of ${faults.length} kinds; ${unreached.length} endpoints without 2xx`,
  ].join('\n');
}
