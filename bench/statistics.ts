// What sharing statements is worth to statistics. Writes events of the year 2001 from bench.invalid.
import { randomUUID } from 'node:crypto';
import { Batcher } from '../src/infra/batcher';
import type { MessageReport } from '../src/models/statistics/message';
import { messageReports } from '../src/services/statistics/reports';
import { median } from './median';

const DOMAIN = 'bench.invalid';
const ROUNDS = 5;
const EVENTS = 1000;

const event = (): MessageReport => ({
  id: randomUUID(),
  from_username: 'bench',
  from_domain: DOMAIN,
  sent_at: new Date('2001-01-01T00:00:00Z'),
  encrypted: false,
  conference_id: null,
});

/** Events a second with `width` requests under way at once. */
async function rate(batcher: Batcher<MessageReport, boolean>, width: number): Promise<number> {
  let left = EVENTS;
  const started = performance.now();
  const client = async (): Promise<void> => {
    while ((left -= 1) >= 0) await batcher.submit(event());
  };
  await Promise.all(Array.from({ length: width }, client));
  return (EVENTS * 1000) / (performance.now() - started);
}

/** @returns lines to print */
export async function benchStatistics(): Promise<string[]> {
  const alone = new Batcher(messageReports.run, { size: 1 });
  const measured = new Map<string, number[]>();
  const note = (name: string, value: number): void => void measured.set(name, [...(measured.get(name) ?? []), value]);
  await rate(messageReports, 10);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const width of [1, 10, 100, 500]) {
      const one = await rate(alone, width);
      note(`${width} at once: shared statements / one statement an event`, (await rate(messageReports, width)) / one);
    }
  }
  return [...measured].map(([name, ratios]) => `${name}: ${median(ratios).toFixed(1)}`);
}
