import { rmSync } from 'node:fs';
import { testServers } from './servers';

export default async function teardown(): Promise<void> {
  for (const server of globalThis.testServersToStop.toReversed()) await server.stop();
  rmSync(testServers().directory, { recursive: true, force: true });
}
