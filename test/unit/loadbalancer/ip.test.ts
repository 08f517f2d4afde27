import { isIP } from 'node:net';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatIp, parseCidr, parseIp } from '#src/loadbalancer/ip';

describe('parseIp', () => {
  it.each([
    ['192.0.2.1', 'IPv4', '192.0.2.1'],
    ['0.0.0.0', 'IPv4', '0.0.0.0'],
    ['255.255.255.255', 'IPv4', '255.255.255.255'],
    ['2001:DB8::1', 'IPv6', '2001:db8::1'],
    ['2001:0db8:0000:0000:0000:0000:0000:0001', 'IPv6', '2001:db8::1'],
    ['2001:db8:0:1:1:1:1:1', 'IPv6', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', 'IPv6', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', 'IPv6', '2001:db8::1:0:0:1'],
    ['::', 'IPv6', '::'],
    ['::1', 'IPv6', '::1'],
    ['fe80::', 'IPv6', 'fe80::'],
    ['::ffff:192.0.2.1', 'IPv6', '::ffff:c000:201'],
  ])('reads %s as %s %s', (text, family, canonical) => {
    expect(parseIp(text)).toMatchObject({ family, text: canonical });
  });

  it.each([
    '',
    ' ',
    'nowhere',
    '192.0.2',
    '192.0.2.1.1',
    '192.0.2.256',
    '192.0.2.01',
    '192.0.2.1 ',
    '192.0.2.-1',
    '1.2.3.4/8',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7::8:9',
    '12345::',
    'g::',
    '::1%eth0',
    '::192.0.2.1:1',
    '::192.0.2',
    '1:2:3:4:5:6:7:192.0.2.1',
    '[::1]',
    ':1:2:3:4:5:6:7:8',
  ])('does not take %j for an address', (text) => {
    expect(parseIp(text)).toBeUndefined();
  });

  it('agrees with Node about every IPv4 and IPv6 address, and is stable', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
        const ip = parseIp(text);
        expect(ip?.family).toBe(isIP(text) === 4 ? 'IPv4' : 'IPv6');
        expect(parseIp(ip?.text ?? '')).toEqual(ip);
      }),
    );
  });

  it('writes what a URL writes', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }), (value) => {
        const text = formatIp('IPv6', value);
        expect(new URL(`http://[${text}]`).hostname).toBe(`[${text}]`);
        expect(parseIp(text)?.value).toBe(value);
      }),
    );
  });

  it('takes nothing that Node does not take', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[0-9a-f:.]{1,20}$/), (text) => {
        expect(parseIp(text) !== undefined).toBe(isIP(text) !== 0);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('parseCidr', () => {
  it.each([
    ['192.0.2.0/24', '192.0.2.0/24'],
    ['192.0.2.77/24', '192.0.2.0/24'],
    ['10.1.2.3/0', '0.0.0.0/0'],
    ['10.1.2.3/32', '10.1.2.3/32'],
    ['2001:db8::ff/64', '2001:db8::/64'],
    ['2001:DB8::/128', '2001:db8::/128'],
    ['ffff::/1', '8000::/1'],
  ])('reads %s as %s', (text, network) => {
    expect(parseCidr(text)).toBe(network);
  });

  it.each([
    '192.0.2.0',
    '192.0.2.0/33',
    '2001:db8::/129',
    '192.0.2.0/024',
    '192.0.2.0/-1',
    '/24',
    '192.0.2.0/',
    '1/2/3',
  ])('does not take %j for a CIDR', (text) => {
    expect(parseCidr(text)).toBeUndefined();
  });
});
