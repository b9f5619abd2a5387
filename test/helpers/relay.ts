// A TCP relay between a program and a server: where it leads can be changed, and what passes can be seen, changed and held up.
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Sees each piece that passes on one connection before it goes on, and may change it in its place. */
export interface Tap {
  /** What the program asks. */
  asked?: (chunk: Buffer) => void;
  /** What the server answers. */
  answered?: (chunk: Buffer) => void;
}

const DEFAULT_PORTS: Record<string, number> = { 'postgres:': 5432, 'postgresql:': 5432, 'redis:': 6379 };

/** Passes on what comes, in its order: what is held up holds up what comes behind it, also where that is not to be held up itself. */
function passer(to: Socket): (chunk: Buffer, delayMs: number) => void {
  let last: Promise<void> | undefined;
  return (chunk, delayMs) => {
    if (!last && delayMs === 0) {
      to.write(chunk);
      return;
    }
    const due = performance.now() + delayMs;
    const passed = (last ?? Promise.resolve()).then(async () => {
      const left = due - performance.now();
      if (left > 0) await sleep(left);
      to.write(chunk);
      if (last === passed) last = undefined;
    });
    last = passed;
  };
}

export class Relay {
  readonly #sockets = new Set<Socket>();
  #target: { host: string; port: number };
  /** How long what comes from the server is held up, in milliseconds, and what is asked of it. */
  delayMs = 0;
  delayAskedMs = 0;

  private constructor(
    readonly server: Server,
    target: { host: string; port: number },
    readonly tap: () => Tap,
  ) {
    this.#target = target;
    server.on('connection', (client) => this.#open(client));
  }

  /**
   * @param target port of the server, on this machine; or its URL
   * @param tap makes each connection's own
   */
  static async start(target: number | string, tap: () => Tap = () => ({})): Promise<Relay> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    if (typeof target === 'number') return new Relay(server, { host: '127.0.0.1', port: target }, tap);
    const { protocol, hostname, port } = new URL(target);
    return new Relay(server, { host: hostname, port: Number(port || DEFAULT_PORTS[protocol]) }, tap);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** A server's URL, through the relay. */
  through(url: string): string {
    const relayed = new URL(url);
    relayed.hostname = '127.0.0.1';
    relayed.port = String(this.port);
    return relayed.href;
  }

  /** Where new connections lead. Those that are open stay with the server that they have, as behind a proxy or a name that moves. */
  leadTo(target: number): void {
    this.#target = { host: '127.0.0.1', port: target };
  }

  #open(client: Socket): void {
    const upstream = connect(this.#target);
    const { asked, answered } = this.tap();
    const [passUp, passDown] = [passer(upstream), passer(client)];
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        other.destroy();
        this.#sockets.delete(socket);
      });
    }
    client.on('data', (chunk) => {
      asked?.(chunk);
      passUp(chunk, this.delayAskedMs);
    });
    upstream.on('data', (chunk) => {
      answered?.(chunk);
      passDown(chunk, this.delayMs);
    });
  }

  /** Ends all connections, and with them what was held up. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }
}
