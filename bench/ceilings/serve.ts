// What all ceilings have in common: where they listen, and that they end with whoever started them.
import type { Server } from 'node:http';
import type { Http2SecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';

/** By default an idle connection is closed after 5 s: others may be measured for longer meanwhile. */
const KEEP_ALIVE_MS = 75_000;

/** Listens on a free port of this machine and tells the parent process which. */
export function serve(server: Server | Http2SecureServer): void {
  if ('keepAliveTimeout' in server) server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
  process.once('disconnect', () => process.exit());
}
