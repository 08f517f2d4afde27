import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Claims } from '#providers/proxy/claims';
import { useOf } from '#providers/proxy/observed';
import { parsePool } from '#providers/proxy/pool';

const pool = parsePool(['192.0.2.1-192.0.2.9', 'fd00::1'], 'proxy-addresses');
const A = 'service/default/a';
const B = 'service/default/b';

describe('claims', () => {
  it('give an address to one load balancer only', () => {
    const claims = new Claims(pool);
    claims.assign(A, '192.0.2.1');
    claims.assign(A, '192.0.2.1');
    expect(() => claims.assign(B, '192.0.2.1')).toThrow(expect.objectContaining({ code: 'ClaimLost' }));
    claims.release(A, '192.0.2.1');
    claims.assign(B, '192.0.2.1');
    expect(claims.addressesOf(B)).toEqual(['192.0.2.1']);
    expect(claims.addressesOf(A)).toEqual([]);
  });

  it('give the only address of a family to all, and each port to one', () => {
    const claims = new Claims(pool);
    claims.assign(A, 'fd00::1');
    claims.assign(B, 'fd00::1');
    claims.takePort(A, 'fd00::1', '80/TCP');
    claims.takePort(A, 'fd00::1', '80/TCP');
    expect(() => claims.takePort(B, 'fd00::1', '80/TCP')).toThrow(expect.objectContaining({ code: 'ClaimLost' }));
    claims.takePort(B, 'fd00::1', '80/UDP');
    claims.freePort(B, 'fd00::1', '80/TCP');
    expect(useOf(claims.holdings(), 'fd00::1')?.ports).toEqual(
      new Map([
        ['80/TCP', A],
        ['80/UDP', B],
      ]),
    );
    claims.release(A, 'fd00::1');
    claims.takePort(B, 'fd00::1', '80/TCP');
    expect(claims.isHeldByOthers(A, 'fd00::1')).toBe(true);
    expect(claims.isHeldByOthers(B, 'fd00::1')).toBe(false);
  });

  it('give no port of an address that is not held', () => {
    const claims = new Claims(pool);
    expect(() => claims.takePort(A, '192.0.2.1', '80/TCP')).toThrow(expect.objectContaining({ code: 'ClaimLost' }));
  });

  it('let those who had an address before keep it, even together', () => {
    const claims = new Claims(pool);
    claims.restore(A, '192.0.2.1');
    claims.restore(B, '192.0.2.1');
    claims.takePort(A, '192.0.2.1', '80/TCP');
    expect(useOf(claims.holdings(), '192.0.2.1')).toEqual({ holders: [A, B], ports: new Map([['80/TCP', A]]) });
    expect(() => claims.assign('service/default/c', '192.0.2.1')).toThrow(expect.anything());
  });

  it('give pictures that do not change, and the same one while nothing does', () => {
    const claims = new Claims(pool);
    claims.assign(A, '192.0.2.1');
    const before = claims.holdings();
    claims.takePort(A, '192.0.2.1', '80/TCP');
    expect(claims.holdings()).toBe(before);
    claims.assign(A, '192.0.2.2');
    expect(useOf(before, '192.0.2.2')).toBeUndefined();
    expect(before.free.IPv4).toBe('192.0.2.2');
    expect(useOf(claims.holdings(), '192.0.2.2')?.holders).toEqual([A]);
    expect(claims.holdings().free.IPv4).toBe('192.0.2.3');
    expect(useOf(claims.holdings(), '192.0.2.1')).toBe(useOf(before, '192.0.2.1'));
  });

  it('know the lowest free address of each family, whatever is taken and given back', () => {
    const claims = new Claims(pool);
    const numbers = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 9 })), { maxLength: 40 });
    const taken = new Set<number>();
    fc.assert(
      fc.property(numbers, (changes) => {
        for (const [takes, number] of changes) {
          if (takes) claims.assign(A, `192.0.2.${number}`);
          else claims.release(A, `192.0.2.${number}`);
          if (takes) taken.add(number);
          else taken.delete(number);
          const free = [1, 2, 3, 4, 5, 6, 7, 8, 9].find((each) => !taken.has(each));
          expect(claims.holdings().free.IPv4).toBe(free === undefined ? undefined : `192.0.2.${free}`);
        }
      }),
    );
    claims.assign(A, 'fd00::1');
    expect(claims.holdings().free.IPv6).toBe('fd00::1');
  });
});
