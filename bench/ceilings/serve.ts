// What all ceilings have in common: where they listen, and that they end with whoever started them.
import type { AddressInfo, Server } from 'node:net';

/** Listens on a free port of this machine and tells the parent process which. */
export function serve(server: Server): void {
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
  process.once('disconnect', () => process.exit());
}
