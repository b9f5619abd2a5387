// Free ports.
import { createServer } from 'node:net';

/**
 * A TCP port of 127.0.0.1 that nothing listens on; another program may take it before the caller does.
 *
 * @param wanted taken where it is free; 0: any
 * @throws {Error} where there is none
 */
export async function freePort(wanted = 0): Promise<number> {
  const attempt = (port: number): Promise<number | undefined> =>
    new Promise((resolve) => {
      const server = createServer();
      server.once('error', () => resolve(undefined));
      server.listen(port, '127.0.0.1', () => {
        const address = server.address();
        server.close(() => resolve(typeof address === 'object' && address ? address.port : undefined));
      });
    });
  const port = (wanted === 0 ? undefined : await attempt(wanted)) ?? (await attempt(0));
  if (port === undefined) throw new Error('there is no free port on 127.0.0.1');
  return port;
}
