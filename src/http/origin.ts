// Where a request comes from: its client's address, the host that it was sent to, and whether by TLS. Only the connection itself and what proxies say
// that TRUST_PROXY believes count; a text of theirs that is no address, no host or no scheme says nothing.
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import express, { type Express } from 'express';
import { settings } from '../../config';
import { parseIpAddress } from '../infra/ip-address';

/** Where a request comes from. */
interface Origin {
  /** In the one spelling of parseIpAddress(). */
  ip: string;
  protocol: 'http' | 'https';
  /** With its port, where one was named. */
  host: string | undefined;
}

/** A host with its port, as Host has it (RFC 9110, section 7.2). */
const HOST = /^(?:\[[0-9a-f:.]+\]|[\w.~!$&'()*+,;=%-]+)(?::\d{0,5})?$/i;

/** Whether a text can be a host, with or without a port. */
export const isHost = (text: string): boolean => HOST.test(text);

/** How Express understands the setting: by the address of a hop, or by how many hops lie before it. */
const trusts = express().set('trust proxy', settings.TRUST_PROXY).get('trust proxy fn') as (address: string, hop: number) => boolean;

/** Members of a list; empty ones are none (RFC 9110, section 5.6.1). Several headers of one name are one list. */
export const membersOf = (header: string | string[] | undefined): string[] =>
  String(header ?? '')
    .split(',')
    .map((member) => member.trim())
    .filter((member) => member !== '');

const PEER = Symbol('peer');

/** The address at the other end of a connection. It stays the same for all requests, and is gone when the connection is. */
function peerOf(socket: Socket & { [PEER]?: string }): string {
  const known = socket[PEER];
  if (known !== undefined) return known;
  const peer = parseIpAddress(socket.remoteAddress ?? '') ?? '';
  if (peer !== '') socket[PEER] = peer;
  return peer;
}

function readOrigin({ socket, headers }: IncomingMessage): Origin {
  const peer = peerOf(socket);
  const own: Origin = { ip: peer, protocol: (socket as Partial<TLSSocket>).encrypted ? 'https' : 'http', host: headers.host };
  if (!trusts(peer, 0)) return own;
  // From the nearest hop on; a proxy may be named with a port, or in another spelling than the setting has.
  const forwarded = membersOf(headers['x-forwarded-for']).toReversed();
  let hop = 0;
  while (hop < forwarded.length - 1 && trusts(parseIpAddress(forwarded[hop] ?? '') ?? '', hop + 1)) hop += 1;
  // What the farthest trusted proxy said; what stands before that may be the client's own. One that replaces the header leaves a single member.
  const saidOf = (name: string): string | undefined => {
    const said = membersOf(headers[name]);
    return said[Math.max(0, said.length - hop - 1)];
  };
  const protocol = saidOf('x-forwarded-proto')?.toLowerCase();
  const host = saidOf('x-forwarded-host');
  return {
    ip: parseIpAddress(forwarded[hop] ?? '') ?? peer,
    protocol: protocol === 'http' || protocol === 'https' ? protocol : own.protocol,
    host: host !== undefined && isHost(host) ? host : own.host,
  };
}

const ORIGIN = Symbol('origin');

/** Read when it is first asked for, which is to be when the request comes: a connection that has ended has no address any more. */
export const originOf = (request: IncomingMessage & { [ORIGIN]?: Origin }): Origin => (request[ORIGIN] ??= readOrigin(request));

/** Whether a request was sent to the host of a URL, with its port; one of the two may name the scheme's own. */
export function isSentTo(request: IncomingMessage, { protocol, host }: URL): boolean {
  const own = `${protocol}//${originOf(request).host ?? ''}`;
  return URL.canParse(own) && new URL(own).host === host;
}

/** Has an app's requests answer `ip`, `protocol` and `host`, and what Express derives from them, by this file. */
export function useOrigins(app: Express): void {
  for (const name of ['ip', 'protocol', 'host'] as const) {
    Object.defineProperty(app.request, name, {
      configurable: true,
      get(this: IncomingMessage) {
        return originOf(this)[name];
      },
    });
  }
}
