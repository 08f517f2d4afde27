/** The addresses that load balancers may get, as ranges: a pool of `fd00::/64` costs as little as one of one address. */
import { BallastError } from '#src/errors';
import { formatIp, type IpAddress } from '#src/loadbalancer/ip';
import { cidrRange, parseIpRange, type IpRange } from '#src/loadbalancer/ip-range';
import type { IpFamily } from '#src/loadbalancer/model';

/** From `first` to `last`, both included. */
export interface AddressRange {
  readonly first: bigint;
  readonly last: bigint;
}

/** Of each family, sorted ranges that neither overlap nor touch. */
export type Pool = Readonly<Record<IpFamily, readonly AddressRange[]>>;

/** Where no listener can be: each with what it is, for messages. */
const UNUSABLE: readonly (readonly [family: IpFamily, cidr: string, what: string])[] = [
  ['IPv4', '0.0.0.0/8', 'a source address only (RFC 1122)'],
  ['IPv4', '224.0.0.0/3', 'multicast or reserved (RFC 1112)'],
  ['IPv6', '::/128', 'the unspecified address'],
  ['IPv6', '::ffff:0:0/96', 'an IPv4-mapped address'],
  ['IPv6', 'fe80::/10', 'link-local and means something on one link only'],
  ['IPv6', 'ff00::/8', 'multicast'],
];

/**
 * Reads a pool: each entry is an address, a range `first-last`, or a CIDR, of which every address is used. Throws
 * `InvalidConfig` naming `flag` and the entry.
 */
export function parsePool(entries: readonly string[], flag: string): Pool {
  const ranges: Record<IpFamily, AddressRange[]> = { IPv4: [], IPv6: [] };
  for (const entry of entries) {
    const { family, first, last } = parseEntry(entry, flag);
    for (const [forbiddenFamily, cidr, what] of UNUSABLE) {
      const forbidden = family === forbiddenFamily ? cidrRange(cidr) : undefined;
      if (forbidden && first <= forbidden.last && last >= forbidden.first) {
        throw invalid(flag, entry, `it holds ${formatIp(family, max(first, forbidden.first))}, which is ${what}`);
      }
    }
    ranges[family].push({ first, last });
  }
  return { IPv4: merge(ranges.IPv4), IPv6: merge(ranges.IPv6) };
}

export function poolContains(pool: Pool, address: IpAddress): boolean {
  return pool[address.family].some(({ first, last }) => first <= address.value && address.value <= last);
}

/** How many addresses of the family the pool has. */
export function poolSize(pool: Pool, family: IpFamily): bigint {
  return pool[family].reduce((sum, { first, last }) => sum + last - first + 1n, 0n);
}

/**
 * A pool with a single address of a family shares it: every load balancer gets it, and they compete for its ports.
 */
export function isShared(pool: Pool, family: IpFamily): boolean {
  return poolSize(pool, family) === 1n;
}

/**
 * The lowest address from `from` on that is not taken; undefined when all are. Looks at one address more than are taken
 * there.
 */
export function lowestFree(
  pool: Pool,
  family: IpFamily,
  taken: (address: string) => boolean,
  from = 0n,
): IpAddress | undefined {
  for (const { first, last } of pool[family]) {
    for (let value = max(first, from); value <= last; value++) {
      const text = formatIp(family, value);
      if (!taken(text)) return { family, value, text };
    }
  }
  return undefined;
}

/** The pool as a person would write it, for messages. */
export function formatPool(pool: Pool): string {
  const texts = (['IPv4', 'IPv6'] as const).flatMap((family) =>
    pool[family].map(({ first, last }) =>
      first === last ? formatIp(family, first) : `${formatIp(family, first)}-${formatIp(family, last)}`,
    ),
  );
  return texts.join(', ');
}

function parseEntry(entry: string, flag: string): IpRange {
  try {
    return parseIpRange(entry);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw invalid(flag, entry, error.message);
  }
}

function merge(ranges: readonly AddressRange[]): readonly AddressRange[] {
  const merged: AddressRange[] = [];
  for (const range of ranges.toSorted((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0))) {
    const previous = merged.at(-1);
    if (previous && range.first <= previous.last + 1n) {
      merged[merged.length - 1] = { first: previous.first, last: max(previous.last, range.last) };
    } else {
      merged.push(range);
    }
  }
  return merged;
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function invalid(flag: string, entry: string, why: string): BallastError {
  return new BallastError('InvalidConfig', `--${flag}: ${JSON.stringify(entry)} cannot be used: ${why}.`, {
    field: flag,
  });
}
