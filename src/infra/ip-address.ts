// IP addresses as texts: one spelling for each, and the network that counts as one client.
import { isIP, SocketAddress } from 'node:net';

/** An address with what proxies write beside it: `[2001:db8::1]:443`, `[2001:db8::1]`, `203.0.113.8:51234`. */
const WITH_PORT = /^(?:\[([^\]]*)\](?::\d{1,5})?|(\d+\.\d+\.\d+\.\d+):\d{1,5})$/;
/** A socket that listens on IPv6, too, shows IPv4 clients as ::ffff:a.b.c.d (RFC 4291, section 2.5.5.2). */
const MAPPED = /^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/;
/** The longest spelling of an address, with a zone and a port, is far below. */
const MAX_LENGTH = 100;

/**
 * The one spelling of an address: IPv4 with dots, also where it came as IPv6; IPv6 as RFC 5952 writes it, without a zone. A port is left out.
 *
 * @returns null where the text is no address
 */
export function parseIpAddress(text: string): string | null {
  if (text.length > MAX_LENGTH) return null;
  const trimmed = text.trim();
  const match = WITH_PORT.exec(trimmed);
  const address = match?.[1] ?? match?.[2] ?? trimmed;
  const family = isIP(address);
  if (family === 0) return null;
  if (family === 4) return address;
  return new SocketAddress({ family: 'ipv6', address: address.split('%', 1)[0] ?? '' }).address.replace(MAPPED, '');
}

/**
 * What limits count as one client: an IPv4 address, or the 64 bits of an IPv6 address that name a network. A single connection has at least
 * one such network (RFC 6177), so whoever is limited by the whole address just takes another.
 *
 * @param address as parseIpAddress() gives it; any other text stands for itself
 */
export function networkOf(address: string): string {
  if (isIP(address) !== 6) return address;
  const [head = '', tail = ''] = address.split('::');
  const groups = head === '' ? [] : head.split(':');
  const after = tail === '' ? [] : tail.split(':');
  while (address.includes('::') && groups.length + after.length < 8) groups.push('0');
  return `${[...groups, ...after].slice(0, 4).join(':')}::/64`;
}
