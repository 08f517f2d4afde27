import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BallastError } from '#src/errors';
import { formatIp, parseIp } from '#src/loadbalancer/ip';
import { formatPool, isShared, lowestFree, parsePool, poolContains, poolSize } from '#providers/proxy/pool';

function pool(...entries: readonly string[]): ReturnType<typeof parsePool> {
  return parsePool(entries, 'proxy-addresses');
}

function contains(entries: readonly string[], address: string): boolean {
  const parsed = parseIp(address);
  if (!parsed) throw new Error(`${address} is no address`);
  return poolContains(pool(...entries), parsed);
}

function outcome(entries: readonly string[]): string {
  try {
    pool(...entries);
    return 'accepted';
  } catch (error) {
    return error instanceof BallastError ? error.code : String(error);
  }
}

describe('a pool', () => {
  it('is made of addresses, ranges and CIDRs of both families', () => {
    const entries = ['192.0.2.1', '192.0.2.10-192.0.2.20', 'fd00::200/124'];
    expect(contains(entries, '192.0.2.1')).toBe(true);
    expect(contains(entries, '192.0.2.2')).toBe(false);
    expect(contains(entries, '192.0.2.20')).toBe(true);
    expect(contains(entries, '192.0.2.21')).toBe(false);
    expect(contains(entries, 'fd00::20f')).toBe(true);
    expect(contains(entries, 'fd00::210')).toBe(false);
  });

  it('merges what overlaps or touches, in order', () => {
    expect(formatPool(pool('192.0.2.9', '192.0.2.1-192.0.2.5', '192.0.2.4-192.0.2.8', '192.0.2.11'))).toBe(
      '192.0.2.1-192.0.2.9, 192.0.2.11',
    );
  });

  it('clears the host bits of a CIDR', () => {
    expect(formatPool(pool('192.0.2.77/30'))).toBe('192.0.2.76-192.0.2.79');
  });

  it('costs nothing for being large', () => {
    const large = pool('fd00::/64');
    expect(poolSize(large, 'IPv6')).toBe(2n ** 64n);
    expect(lowestFree(large, 'IPv6', (address) => address === 'fd00::')?.text).toBe('fd00::1');
  });

  it('gives the lowest address that is free, over the ranges, until none is left', () => {
    const two = pool('192.0.2.1', '192.0.2.5');
    expect(lowestFree(two, 'IPv4', () => false)?.text).toBe('192.0.2.1');
    expect(lowestFree(two, 'IPv4', (address) => address === '192.0.2.1')?.text).toBe('192.0.2.5');
    expect(lowestFree(two, 'IPv4', () => false, 0xc0000202n)?.text).toBe('192.0.2.5');
    expect(lowestFree(two, 'IPv4', () => true)).toBeUndefined();
    expect(lowestFree(two, 'IPv6', () => false)).toBeUndefined();
  });

  it('is shared in a family of which it has a single address', () => {
    const mixed = pool('192.0.2.1', 'fd00::1-fd00::2');
    expect(isShared(mixed, 'IPv4')).toBe(true);
    expect(isShared(mixed, 'IPv6')).toBe(false);
    expect(isShared(pool('192.0.2.1'), 'IPv6')).toBe(false);
  });

  const refused = [
    '',
    'localhost',
    '192.0.2.1-',
    '192.0.2.9-192.0.2.1',
    '192.0.2.1-fd00::1',
    '192.0.2.1-192.0.2.2-192.0.2.3',
    '192.0.2.1/33',
    '0.0.0.0',
    '0.0.0.0/0',
    '224.0.0.1',
    '255.255.255.255',
    '::',
    'fe80::1',
    'fe80::1%eth0',
    '::ffff:192.0.2.1',
    'ff02::1',
  ];
  for (const entry of refused) {
    it(`refuses ${JSON.stringify(entry)}, naming it and the flag`, () => {
      expect(() => pool('192.0.2.1', entry)).toThrow(BallastError);
      expect(() => pool('192.0.2.1', entry)).toThrow(`--proxy-addresses: ${JSON.stringify(entry)}`);
    });
  }

  it('throws nothing but InvalidConfig, whatever it is given', () => {
    const entry = fc.oneof(
      fc.string(),
      fc.ipV4(),
      fc.ipV6(),
      fc.tuple(fc.ipV4(), fc.ipV4()).map((two) => two.join('-')),
    );
    fc.assert(
      fc.property(fc.array(entry), (entries) => {
        expect(outcome(entries)).toMatch(/^(accepted|InvalidConfig)$/);
      }),
    );
  });

  it('holds exactly what its ranges hold', () => {
    const range = fc.tuple(fc.nat(60), fc.nat(60)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
    const address = (host: number): string => formatIp('IPv4', 0xc0000200n + BigInt(host));
    fc.assert(
      fc.property(fc.array(range, { minLength: 1, maxLength: 6 }), (ranges) => {
        const entries = ranges.map(([first, last]) => `${address(first)}-${address(last)}`);
        const expected = Array.from({ length: 64 }, (_, host) => ranges.some(([a, b]) => a <= host && host <= b));
        expect(expected.map((_, host) => contains(entries, address(host)))).toEqual(expected);
        expect(poolSize(pool(...entries), 'IPv4')).toBe(BigInt(expected.filter(Boolean).length));
        const firstFree = lowestFree(pool(...entries), 'IPv4', () => false)?.text;
        expect(firstFree).toBe(address(expected.indexOf(true)));
      }),
    );
  });
});
