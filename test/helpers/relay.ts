// A TCP relay between a program and a server: where it leads can be changed, and what passes can be held up.
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** Timers of one length run in order. */
function pass(chunk: Buffer, to: Socket, delayMs: number): void {
  if (delayMs === 0) to.write(chunk);
  else setTimeout(() => to.write(chunk), delayMs);
}

export class Relay {
  readonly #sockets = new Set<Socket>();
  #target = 0;
  /** How long what comes from the server is held up, in milliseconds, and what is asked of it. */
  delayMs = 0;
  delayAskedMs = 0;
  /** Sees what is asked before it goes on. */
  onAsked: (chunk: Buffer) => void = () => undefined;

  private constructor(readonly server: Server) {}

  /** @param target port of the server, on this machine */
  static async start(target: number): Promise<Relay> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const relay = new Relay(server);
    relay.#target = target;
    server.on('connection', (client) => relay.#open(client));
    return relay;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Where new connections lead. Those that are open stay with the server that they have, as behind a proxy or a name that moves. */
  leadTo(target: number): void {
    this.#target = target;
  }

  #open(client: Socket): void {
    const upstream = connect(this.#target, '127.0.0.1');
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
      this.onAsked(chunk);
      pass(chunk, upstream, this.delayAskedMs);
    });
    upstream.on('data', (chunk) => pass(chunk, client, this.delayMs));
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
