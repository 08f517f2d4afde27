import type { IpFamily } from './model.ts';

/** An IP address as a number and in its one canonical text (RFC 5952 for IPv6). */
export interface IpAddress {
  readonly family: IpFamily;
  /** 32 bits for IPv4, 128 for IPv6. */
  readonly value: bigint;
  readonly text: string;
}

/** The number of bits in an address of the family. */
export const ADDRESS_BITS: Readonly<Record<IpFamily, number>> = { IPv4: 32, IPv6: 128 };

/**
 * Reads an address; undefined when it is none. Octets with leading zeros are refused, because some readers take them
 * for octal, and so are zones (`fe80::1%eth0`), which mean something on one machine only.
 */
export function parseIp(text: string): IpAddress | undefined {
  const family: IpFamily = text.includes(':') ? 'IPv6' : 'IPv4';
  const value = family === 'IPv6' ? parseIpv6(text) : parseIpv4(text);
  return value === undefined ? undefined : { family, value, text: formatIp(family, value) };
}

/** Reads `address/prefix-length` and clears the host bits; undefined when it is none. Gives the canonical text. */
export function parseCidr(text: string): string | undefined {
  const [addressText, prefixText, ...rest] = text.split('/');
  if (addressText === undefined || prefixText === undefined || rest.length > 0) return undefined;
  const address = parseIp(addressText);
  if (address === undefined || !/^(0|[1-9]\d{0,2})$/.test(prefixText)) return undefined;
  const hostBits = ADDRESS_BITS[address.family] - Number(prefixText);
  if (hostBits < 0) return undefined;
  const network = (address.value >> BigInt(hostBits)) << BigInt(hostBits);
  return `${formatIp(address.family, network)}/${prefixText}`;
}

/** The canonical text of an address. */
export function formatIp(family: IpFamily, value: bigint): string {
  return family === 'IPv4' ? formatIpv4(value) : formatIpv6(value);
}

function parseIpv4(text: string): bigint | undefined {
  const octets = text.split('.');
  if (octets.length !== 4 || !octets.every((octet) => /^(0|[1-9]\d{0,2})$/.test(octet) && Number(octet) <= 255)) {
    return undefined;
  }
  return octets.reduce((sum, octet) => sum * 256n + BigInt(octet), 0n);
}

function formatIpv4(value: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join('.');
}

function parseIpv6(text: string): bigint | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map(parseGroups);
  if (head === undefined || (halves.length === 2 && tail === undefined)) return undefined;
  const missing = 8 - head.length - (tail?.length ?? 0);
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...Array<number>(missing).fill(0), ...(tail ?? [])];
  return groups.reduce((sum, group) => sum * 65_536n + BigInt(group), 0n);
}

/** Groups of 16 bits between colons; the last may be an IPv4 address, which makes two. */
function parseGroups(text: string): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [index, part] of parts.entries()) {
    if (/^[0-9a-f]{1,4}$/i.test(part)) {
      groups.push(Number.parseInt(part, 16));
      continue;
    }
    const embedded = index === parts.length - 1 ? parseIpv4(part) : undefined;
    if (embedded === undefined) return undefined;
    groups.push(Number(embedded >> 16n), Number(embedded & 65_535n));
  }
  return groups;
}

/** RFC 5952: lower case, no leading zeros, the first longest run of at least two zero groups as `::`. */
function formatIpv6(value: bigint): string {
  const groups = Array.from({ length: 8 }, (_, index) => Number((value >> BigInt(112 - 16 * index)) & 65_535n));
  let best = { start: 0, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  const text = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':');
  if (best.length < 2) return text(groups);
  return `${text(groups.slice(0, best.start))}::${text(groups.slice(best.start + best.length))}`;
}
