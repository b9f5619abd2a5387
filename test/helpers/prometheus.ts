// The machine's Prometheus: its checker of rules, and the server itself. Nothing is downloaded.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { freePort } from '../../src/start/ports';
import { testServers } from '../setup/servers';
import { eventually } from './system';

/** Whether there is one, which is an error under CI=true where there is not, and said aloud otherwise. */
export function hasPrometheus(): boolean {
  const missing = ['prometheus', 'promtool'].filter((name) => spawnSync(name, ['--version']).status !== 0);
  if (missing.length === 0) return true;
  const said = `There is no ${missing.join(' and no ')} on this machine: install Prometheus (Debian: prometheus). The tests of alerts did not run.`;
  if (process.env['CI'] === 'true') throw new Error(said);
  process.stderr.write(`\n${said}\n`);
  return false;
}

/** An alert as Prometheus has it. */
export interface ActiveAlert {
  labels: Record<string, string>;
  state: 'pending' | 'firing';
}

/** A running Prometheus. */
export interface Prometheus {
  /** What it answers under /api/v1. @throws {Error} where it refuses: with its reason */
  api: (path: string) => Promise<unknown>;
  /** Those that fire now. */
  firing: () => Promise<Record<string, string>[]>;
  stop: () => Promise<void>;
}

/**
 * Starts one that looks once a second.
 *
 * @param rules text of a file of rules
 * @param targets `host:port` by job
 */
export async function startPrometheus(rules: string, targets: Record<string, string[]>): Promise<Prometheus> {
  const directory = mkdtempSync(path.join(testServers().directory, 'prometheus-'));
  const port = await freePort();
  writeFileSync(path.join(directory, 'rules.yml'), rules);
  const jobs = Object.entries(targets).map(([job_name, of]) => ({ job_name, scrape_timeout: '1s', static_configs: [{ targets: of }] }));
  // JSON is YAML, too.
  const configuration = {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: ['rules.yml'],
    scrape_configs: jobs,
  };
  writeFileSync(path.join(directory, 'prometheus.yml'), JSON.stringify(configuration));
  const child = spawn(
    'prometheus',
    [
      `--config.file=${path.join(directory, 'prometheus.yml')}`,
      `--storage.tsdb.path=${path.join(directory, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let output = '';
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  const api = async (of: string): Promise<unknown> => {
    const response = await fetch(`http://127.0.0.1:${port}/api/v1${of}`);
    const { status, data, error } = (await response.json()) as { status: string; data: unknown; error?: string };
    if (status !== 'success') throw new Error(error);
    return data;
  };
  const isReady = (): Promise<boolean> =>
    fetch(`http://127.0.0.1:${port}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
  await eventually(isReady, (ready) => ready || child.exitCode !== null, 30);
  if (child.exitCode !== null) throw new Error(output);
  const firing = async (): Promise<Record<string, string>[]> => {
    const { alerts } = (await api('/alerts')) as { alerts: ActiveAlert[] };
    return alerts.filter(({ state }) => state === 'firing').map(({ labels }) => labels);
  };
  return { api, firing, stop };
}
