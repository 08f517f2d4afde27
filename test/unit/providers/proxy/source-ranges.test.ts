import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SourceRanges, clientAddress } from '#providers/proxy/source-ranges';
import { parseCidr, parseIp } from '#src/loadbalancer/ip';

describe('source ranges', () => {
  it('let everyone in when there are none', () => {
    const ranges = new SourceRanges([]);
    expect(ranges.allows('192.0.2.1')).toBe(true);
    expect(ranges.allows('2001:db8::1')).toBe(true);
  });

  it('let in who is in one of them', () => {
    const ranges = new SourceRanges(['192.0.2.0/24', '198.51.100.7/32', '2001:db8::/32']);
    expect(ranges.allows('192.0.2.255')).toBe(true);
    expect(ranges.allows('192.0.3.0')).toBe(false);
    expect(ranges.allows('198.51.100.7')).toBe(true);
    expect(ranges.allows('198.51.100.8')).toBe(false);
    expect(ranges.allows('2001:db8:ffff::1')).toBe(true);
    expect(ranges.allows('2001:db9::1')).toBe(false);
  });

  it('keep out the other family altogether', () => {
    expect(new SourceRanges(['0.0.0.0/0']).allows('2001:db8::1')).toBe(false);
    expect(new SourceRanges(['::/0']).allows('192.0.2.1')).toBe(false);
  });

  it('see through IPv4-mapped addresses and zones', () => {
    const ranges = new SourceRanges(['192.0.2.0/24', 'fe80::/10']);
    expect(ranges.allows('::ffff:192.0.2.9')).toBe(true);
    expect(ranges.allows('::FFFF:198.51.100.9')).toBe(false);
    expect(ranges.allows('fe80::1%eth0')).toBe(true);
    expect(clientAddress('::ffff:192.0.2.9')).toBe('192.0.2.9');
    expect(clientAddress('fe80::1%eth0')).toBe('fe80::1%eth0');
  });

  it('mean the IPv4 network where they are IPv4-mapped', () => {
    const ranges = new SourceRanges(['::ffff:c000:200/120']);
    expect(ranges.allows('192.0.2.9')).toBe(true);
    expect(ranges.allows('::ffff:c000:209')).toBe(true);
    expect(ranges.allows('192.0.3.9')).toBe(false);
  });

  it('keep out what is no address', () => {
    for (const client of ['', 'localhost', '192.0.2', '1.2.3.4.5', 'fe80::1::']) {
      expect(new SourceRanges(['0.0.0.0/0', '::/0']).allows(client)).toBe(false);
    }
  });

  it('agree with arithmetic', () => {
    const value = fc.integer({ min: 0, max: 0xffff_ffff });
    const text = (address: number): string => [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
    fc.assert(
      fc.property(value, fc.integer({ min: 0, max: 32 }), value, fc.boolean(), (network, prefix, other, near) => {
        const cidr = parseCidr(`${text(network)}/${prefix}`) ?? '';
        const client = near ? (network ^ (other & 7)) >>> 0 : other;
        const size = 2 ** (32 - prefix);
        const inside = Math.floor(client / size) === Math.floor(network / size);
        expect(parseIp(text(client))).toBeDefined();
        expect(new SourceRanges([cidr]).allows(text(client))).toBe(inside);
      }),
    );
  });
});
