// linphone-daemon at its UNIX socket, as it is: one client at a time, another is accepted and closed without a word; one
// read is one command, up to its first line feed; the answer may come in pieces; the connection stays open.
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { testServers } from '../setup/servers';

/** ok, refuse: answers so; hang: reads and never answers; die: hangs up after reading; garbage: answers what nobody understands. */
export type DaemonMode = 'ok' | 'refuse' | 'hang' | 'die' | 'garbage';

export class Daemon {
  readonly path: string;
  readonly commands: string[] = [];
  /** Clients that came while another was there. */
  turnedAway = 0;
  mode: DaemonMode = 'ok';
  /** Milliseconds between a command and its answer, and between the answer's pieces. */
  slowness = 5;
  #server: Server | undefined;
  #client: Socket | undefined;

  /** @param directory where its socket is made */
  constructor(directory = testServers().directory) {
    this.path = path.join(mkdtempSync(path.join(directory, 'daemon-')), 'socket');
  }

  async start(): Promise<void> {
    rmSync(this.path, { force: true });
    const server = createServer((socket) => this.#serve(socket));
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.path, resolve));
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#client?.destroy();
    await new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()));
  }

  #serve(socket: Socket): void {
    socket.on('error', () => undefined);
    if (this.#client) {
      this.turnedAway += 1;
      socket.destroy();
      return;
    }
    this.#client = socket;
    socket.on('close', () => (this.#client = undefined));
    socket.on('data', (read: Buffer) => {
      this.commands.push(read.toString('utf8').split('\n')[0] ?? '');
      if (this.mode === 'hang') return;
      if (this.mode === 'die') socket.destroy();
      else this.#answer(socket, `id-${this.commands.length}`);
    });
  }

  #answer(socket: Socket, id: string): void {
    const pieces = {
      ok: ['Status: O', 'k\n', '\nId: ', `${id}\n\n`],
      refuse: ['Status: Error\n', 'Reason: Bad sip uri.\n'],
      garbage: ['hello\n', 'Status: Perhaps\n'],
    }[this.mode as 'ok' | 'refuse' | 'garbage'];
    pieces.forEach((piece, index) => setTimeout(() => socket.writable && socket.write(piece), this.slowness * (index + 1)));
  }
}
