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

/** `203.0.113.0/24`, `2001:db8::/32`, or a single address. */
const RANGE = /^([^/]+)(?:\/(\d{1,3}))?$/;
const IPV4_BITS = 32;
const IPV6_BITS = 128;

/** An address as one number. */
function numberOf(address: string): bigint {
  if (isIP(address) === 4) return address.split('.').reduce((number, octet) => (number << 8n) | BigInt(octet), 0n);
  return groupsOf(address).reduce((number, group) => (number << BigInt(GROUP_BITS)) | BigInt(group), 0n);
}

/** A range of addresses, or why it is none: `malformed`, or `host_bits` behind its prefix, with the range that has none. */
export type IpRange = { range: string } | { fault: 'malformed' } | { fault: 'host_bits'; prefix: number };

/**
 * The one spelling of a range of addresses (CIDR, RFC 4632 and RFC 4291, section 2.3), the least a single address: as PostgreSQL's type `cidr` writes it. An IPv4
 * range may be written as IPv6 (`::ffff:10.0.0.0/104`). Bits behind the prefix are a fault: whether the one address or the whole range was meant is not to be guessed.
 */
export function parseIpRange(text: string): IpRange {
  const [, given = '', digits] = RANGE.exec(text.trim()) ?? [];
  const address = isIP(given) === 0 ? null : parseIpAddress(given);
  if (address === null || given.includes('%')) return { fault: 'malformed' };
  const bits = isIP(address) === 4 ? IPV4_BITS : IPV6_BITS;
  const mapped = isIP(given) === 6 && bits === IPV4_BITS ? IPV6_BITS - IPV4_BITS : 0;
  const prefix = digits === undefined ? bits : Number(digits) - mapped;
  if (prefix < 0 || prefix > bits) return { fault: 'malformed' };
  const hostBits = BigInt(bits - prefix);
  if ((numberOf(address) >> hostBits) << hostBits !== numberOf(address)) return { fault: 'host_bits', prefix };
  return { range: `${address}/${prefix}` };
}

/** A range as people write it: a single address without its prefix. @param range as parseIpRange() gives it */
export const formatIpRange = (range: string): string => range.replace(range.includes(':') ? /\/128$/ : /\/32$/, '');

/** Whether every address of one range is in another. @param outer and `inner`: as parseIpRange() gives them */
export function containsRange(outer: string, inner: string): boolean {
  const [[outerAddress = '', outerPrefix], [innerAddress = '', innerPrefix]] = [outer.split('/'), inner.split('/')];
  if (isIP(outerAddress) !== isIP(innerAddress) || Number(outerPrefix) > Number(innerPrefix)) return false;
  const hostBits = BigInt((isIP(outerAddress) === 4 ? IPV4_BITS : IPV6_BITS) - Number(outerPrefix));
  return numberOf(outerAddress) >> hostBits === numberOf(innerAddress) >> hostBits;
}
