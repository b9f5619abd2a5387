// IP addresses as texts: one spelling for each, and the network that counts as one client.
import { isIP, SocketAddress } from 'node:net';
import { settings } from '../../config';

/** An address with what proxies write beside it: `[2001:db8::1]:443`, `[2001:db8::1]`, `203.0.113.8:51234`. */
const WITH_PORT = /^(?:\[([^\]]*)\](?::\d{1,5})?|(\d+\.\d+\.\d+\.\d+):\d{1,5})$/;
/** A socket that listens on IPv6, too, shows IPv4 clients as ::ffff:a.b.c.d (RFC 4291, section 2.5.5.2). */
const MAPPED = /^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/;
/** The longest spelling of an address, with a zone and a port, is far below. */
const MAX_LENGTH = 100;
const GROUPS = 8;
const GROUP_BITS = 16;

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
  // Brackets are for IPv6 alone (RFC 3986, section 3.2.2).
  if (family === 0 || (family === 4 && match?.[1] !== undefined)) return null;
  if (family === 4) return address;
  return new SocketAddress({ family: 'ipv6', address: address.split('%', 1)[0] ?? '' }).address.replace(MAPPED, '');
}

/** The eight groups of an IPv6 address as RFC 5952 writes it; its last two may be written as IPv4. */
function groupsOf(address: string): number[] {
  const [head = [], tail] = address.split('::').map((half) =>
    half
      .split(':')
      .filter((group) => group !== '')
      .flatMap((group) => {
        if (!group.includes('.')) return [Number.parseInt(group, 16)];
        const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
        return [a * 256 + b, c * 256 + d];
      }),
  );
  return tail === undefined ? head : [...head, ...Array<number>(GROUPS - head.length - tail.length).fill(0), ...tail];
}

/**
 * What limits count as one client: an IPv4 address, or the first bits of an IPv6 address, which name a network. A single connection has at least
 * one network of 64 bits (RFC 6177), so whoever is limited by the whole address just takes another.
 *
 * @param address as parseIpAddress() gives it; any other text stands for itself
 * @param prefix how many bits
 */
export function networkOf(address: string, prefix = settings.RATE_LIMIT_IPV6_PREFIX): string {
  if (isIP(address) !== 6) return address;
  const kept = groupsOf(address)
    .slice(0, Math.ceil(prefix / GROUP_BITS))
    .map((group, index) => {
      const bits = Math.min(GROUP_BITS, prefix - index * GROUP_BITS);
      return (group & (0xffff << (GROUP_BITS - bits))).toString(16);
    });
  return `${kept.join(':')}${kept.length < GROUPS ? '::' : ''}/${prefix}`;
}
