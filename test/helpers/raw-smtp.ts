// An SMTP server at the level of bytes: it can end, hang or answer anything at any moment of a session, which a well-made one never does.
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** Moments of a session, in order: `text` once some of the text has come, `dot` once the final dot has. */
export type Moment = 'connect' | 'EHLO' | 'STARTTLS' | 'AUTH' | 'MAIL' | 'RCPT' | 'DATA' | 'text' | 'dot' | 'after';
/** close: FIN; reset: RST; hang: silence; any other text is sent as it is, `<close>` at its end closes after it. */
export type Deed = 'close' | 'reset' | 'hang' | (string & {});

const REPLIES: Record<Moment, string> = {
  connect: '220 raw ESMTP\r\n',
  EHLO: '',
  STARTTLS: '454 no\r\n',
  AUTH: '235 welcome\r\n',
  MAIL: '250 ok\r\n',
  RCPT: '250 ok\r\n',
  DATA: '354 go on\r\n',
  text: '',
  dot: '250 taken\r\n',
  after: '221 bye\r\n',
};

export class RawSmtp {
  #server: Server | undefined;
  readonly #sockets = new Set<Socket>();
  /** Texts that came whole. */
  taken = 0;
  connections = 0;
  /** Commands that came, in order. */
  verbs: string[] = [];
  extensions: string[] = [];
  /** Between the brackets of each RCPT, an octet a character. */
  recipients: string[] = [];
  /** The last text that came whole. */
  text = '';
  #plan: { moment: Moment; deed: Deed; times: number; reached: () => void } | undefined;
  #lastDeed: Deed | undefined;

  async listen(): Promise<number> {
    const server = createServer((socket) => this.#serve(socket));
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return (server.address() as AddressInfo).port;
  }

  /**
   * What happens at a moment, the first `times` that it comes; everything else is as it should be.
   *
   * @returns resolves when it comes
   * @param keep connections of before stay; else they end
   */
  plan(moment: Moment, deed: Deed, times = Infinity, { keep = false } = {}): Promise<void> {
    if (!keep) this.reset();
    return new Promise((reached) => (this.#plan = { moment, deed, times, reached }));
  }

  reset(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
    this.taken = 0;
    this.connections = 0;
    this.verbs = [];
    this.extensions = [];
    this.recipients = [];
    this.text = '';
    this.#plan = undefined;
  }

  close(): void {
    this.reset();
    this.#server?.close();
  }

  /** @returns whether the session goes on */
  #at(socket: Socket, moment: Moment): boolean {
    const planned = this.#plan?.moment === moment && this.#plan.times > 0;
    if (planned && this.#plan) {
      this.#plan.times -= 1;
      this.#plan.reached();
    }
    const deed = planned ? this.#plan?.deed : undefined;
    this.#lastDeed = deed;
    if (deed === undefined) {
      socket.write(
        moment === 'EHLO'
          ? ['raw', ...this.extensions, 'AUTH PLAIN'].map((line, n, all) => `250${n === all.length - 1 ? ' ' : '-'}${line}\r\n`).join('')
          : REPLIES[moment],
      );
      return true;
    }
    if (deed === 'close') socket.end();
    else if (deed === 'reset') socket.resetAndDestroy();
    else if (deed.endsWith('<close>')) socket.end(deed.slice(0, -'<close>'.length));
    else if (deed !== 'hang') {
      socket.write(deed);
      return true;
    }
    return false;
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    this.connections += 1;
    socket.on('error', () => undefined);
    socket.on('close', () => this.#sockets.delete(socket));
    let text = '';
    let inText = false;
    let begun = false;
    let refused = false;
    let open = this.#at(socket, 'connect');
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      while (open) {
        if (inText) {
          if (!begun && text !== '') {
            begun = true;
            open = this.#at(socket, 'text');
            if (!open) return;
          }
          const end = text.indexOf('\r\n.\r\n');
          if (end < 0) return;
          this.text = text.slice(0, end + 2);
          text = text.slice(end + 5);
          inText = false;
          this.taken += 1;
          open = this.#at(socket, 'dot');
          continue;
        }
        const end = text.indexOf('\r\n');
        if (end < 0) return;
        this.recipients.push(...(/^RCPT TO:<(.*)>/i.exec(text.slice(0, end))?.slice(1) ?? []));
        const verb = (text.slice(0, end).split(/[ :]/)[0] ?? '').toUpperCase();
        text = text.slice(end + 2);
        this.verbs.push(verb);
        if (verb === 'RSET') socket.write('250 ok\r\n');
        else if (verb === 'QUIT') {
          this.#at(socket, 'after');
          socket.end();
        } else if (verb === 'DATA' && refused) socket.write('554 no valid recipients\r\n');
        else open = this.#at(socket, (verb === 'HELO' ? 'EHLO' : verb) as Moment);
        if (verb === 'MAIL') refused = false;
        if (verb === 'RCPT' && this.#lastDeed !== undefined) refused = true;
        if (verb === 'DATA' && open && !refused && this.#lastDeed === undefined) {
          inText = true;
          begun = false;
        }
      }
    });
  }
}
