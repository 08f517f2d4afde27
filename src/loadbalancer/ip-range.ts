/** Addresses from one to another, as operators write them in settings. */
import { ADDRESS_BITS, parseCidr, parseIp, type IpAddress } from './ip.ts';
import type { IpFamily } from './model.ts';

/** From `first` to `last`, both included. */
export interface IpRange {
  readonly family: IpFamily;
  readonly first: bigint;
  readonly last: bigint;
}

/** Reads an address, a range `first-last` or a CIDR. @throws RangeError that says what is wrong with it. */
export function parseIpRange(entry: string): IpRange {
  const text = entry.trim();
  if (text.includes('/')) {
    const cidr = parseCidr(text);
    if (cidr === undefined) throw new RangeError('it is not a CIDR');
    return cidrRange(cidr);
  }
  const [firstText = '', lastText = firstText, ...rest] = text.split('-').map((part) => part.trim());
  const first = parseIp(firstText);
  const last = parseIp(lastText);
  if (!first || !last || rest.length > 0) {
    throw new RangeError('it is neither an address, nor a range like 192.0.2.1-192.0.2.9, nor a CIDR');
  }
  if (first.family !== last.family) throw new RangeError('it begins in one family and ends in the other');
  if (first.value > last.value) throw new RangeError('it ends before it begins');
  return { family: first.family, first: first.value, last: last.value };
}

/** The addresses of a canonical CIDR, as `parseCidr` gives it. */
export function cidrRange(cidr: string): IpRange {
  const [network = '', prefix = ''] = cidr.split('/');
  const address = parseIp(network);
  if (!address) throw new TypeError(`not a canonical CIDR: ${cidr}`);
  const hosts = 1n << BigInt(ADDRESS_BITS[address.family] - Number(prefix));
  return { family: address.family, first: address.value, last: address.value + hosts - 1n };
}

export function rangeContains({ family, first, last }: IpRange, address: IpAddress): boolean {
  return family === address.family && first <= address.value && address.value <= last;
}
