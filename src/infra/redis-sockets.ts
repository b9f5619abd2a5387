// The sockets of a connection to Redis and of all its duplicates (BullMQ makes one for each queue that it waits on), so that they can be dropped
// together where one of them has learned that its server is no master any more, or silent.
import net from 'node:net';
import tls from 'node:tls';
import { AbstractConnector, SentinelConnector, type RedisOptions } from 'ioredis';
import { inBackground } from './context';

/**
 * A server that is frozen still accepts: its kernel does. Whoever has not heard a first word by then asks again who the master is. Kept well below
 * the ten seconds within which everything works again after another server was promoted.
 */
const FIRST_WORD_MS = 1000;
/** One server's error reaches each of many connections; they are dropped once. */
const DROP_AGAIN_MS = 1000;

/** A reason that the log names by its code. */
const failure = (code: string): Error => Object.assign(new Error(code), { code });

/**
 * Has what is written in one turn of the event loop leave in one piece: ioredis writes each command by itself, and each write is a call of the kernel. Nothing
 * waits for it: a turn ends once what has come is dealt with.
 */
function gather(socket: net.Socket): void {
  const write = socket.write.bind(socket) as (...given: unknown[]) => boolean;
  let isGathering = false;
  const leave = (): void => {
    isGathering = false;
    socket.uncork();
  };
  socket.write = (...given: unknown[]) => {
    if (!isGathering) {
      isGathering = true;
      socket.cork();
      setImmediate(leave);
    }
    return write(...given);
  };
}

/** Open sockets, each with the host and port that it was opened to. */
export class Sockets {
  readonly #open = new Map<net.Socket, string>();
  #droppedAt = -Infinity;

  add(socket: net.Socket, server: string): void {
    gather(socket);
    this.#open.set(socket, server);
    let timer: NodeJS.Timeout | undefined;
    let isHeard = false;
    // Once more round: where this process was busy the first word lies unread in the socket.
    const late = (): unknown => setImmediate(() => isHeard || socket.destroy(failure('ETIMEDOUT')));
    socket.once('connect', () => (timer = setTimeout(late, FIRST_WORD_MS)));
    socket.once('data', () => {
      isHeard = true;
      clearTimeout(timer);
    });
    socket.once('close', () => {
      clearTimeout(timer);
      this.#open.delete(socket);
    });
  }

  /**
   * Ends sockets without a farewell, which nobody might read; each connection makes itself a new one.
   *
   * @param code of the error that they end with
   * @param server `host:port`, where only those to one server of a Cluster are meant
   */
  drop(code: string, server?: string): void {
    if (performance.now() - this.#droppedAt < DROP_AGAIN_MS) return;
    this.#droppedAt = performance.now();
    for (const [socket, to] of this.#open) if (server === undefined || server === to) socket.destroy(failure(code));
  }
}

/** What a server says of itself when a connection becomes ready; empty where its user may not ask. */
interface Info {
  role?: string;
}

export type Connector = NonNullable<RedisOptions['Connector']>;

/**
 * Opens a connection's sockets as ioredis does, keeps them in `sockets`, and takes only masters where it is told to: a connection to a replica
 * never becomes ready, and is made again until the address leads to a master.
 *
 * @param onReplica is told of a server that was refused
 */
export function connectorTo(sockets: Sockets, takesReplicas: boolean, onReplica: () => void): Connector {
  class DirectConnector extends AbstractConnector {
    readonly #options: RedisOptions;

    constructor(options: unknown) {
      super((options as RedisOptions).disconnectTimeout ?? 0);
      this.#options = options as RedisOptions;
    }

    override check({ role }: Info): boolean {
      if (takesReplicas || role === undefined || role === 'master') return true;
      onReplica();
      return false;
    }

    async connect(): Promise<net.Socket> {
      const { host = '127.0.0.1', port = 6379, family = 0, tls: secure } = this.#options;
      this.connecting = true;
      // A command that fails may bring a new connection about: what that meets in its life is not in the name of the command's request.
      const socket = inBackground(() =>
        secure ? tls.connect({ host, port, family, ...secure } as tls.ConnectionOptions) : net.connect({ host, port, family }),
      );
      this.stream = socket;
      socket.once('error', (error) => (this.firstError = error));
      sockets.add(socket, `${host}:${port}`);
      return socket;
    }
  }
  return DirectConnector;
}

/** As `connectorTo()`, for a server that Sentinels name. */
export function connectorBySentinel(sockets: Sockets, onReplica: () => void): Connector {
  class Connector extends SentinelConnector {
    constructor(options: unknown) {
      super(options as RedisOptions);
    }

    override check(info: Info): boolean {
      const isMaster = super.check(info);
      if (!isMaster) onReplica();
      return isMaster;
    }

    override async connect(...given: Parameters<SentinelConnector['connect']>): ReturnType<SentinelConnector['connect']> {
      const socket = await inBackground(() => super.connect(...given));
      sockets.add(socket, 'master');
      return socket;
    }
  }
  return Connector;
}
