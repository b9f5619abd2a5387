// The world outside in a process of its own, so that its CPU time is nobody else's: push services that take everything at once. It tells its
// parent the settings under which they are reached.
import { startOutsideWorld } from '../test/helpers/outside';

/** How often what was received is forgotten, which would grow without end. */
const FORGET_INTERVAL_MS = 200;

async function main(): Promise<void> {
  const world = await startOutsideWorld();
  setInterval(() => {
    for (const log of [world.apns, world.apnsDev, world.fcm]) log.received.length = 0;
  }, FORGET_INTERVAL_MS);
  process.once('disconnect', () => process.exit());
  process.send?.(world.environment);
}

void main();
