/** A Node object that aims at what is no node. */
import { describe, expect, it } from 'vitest';
import { parseIp } from '#src/loadbalancer/ip';
import { parseIpRange } from '#src/loadbalancer/ip-range';
import { nodeAddressProblem } from '#src/loadbalancer/node-address';
import { buildNodeSet, leftOutNodes } from '#src/loadbalancer/nodes';
import { node } from '#test/fakes/builders';

function problem(text: string, ranges: readonly string[] = []): string | undefined {
  const address = parseIp(text);
  if (!address) throw new Error(`${text} is no address`);
  return nodeAddressProblem(address, ranges.map(parseIpRange));
}

describe('the address of a node', () => {
  it.each([
    ['0.0.0.0', 'is unspecified'],
    ['0.1.2.3', 'is unspecified'],
    ['127.0.0.1', 'is a loopback address'],
    ['127.255.255.254', 'is a loopback address'],
    ['169.254.169.254', 'is link-local'],
    ['224.0.0.1', 'is multicast or reserved'],
    ['255.255.255.255', 'is multicast or reserved'],
    ['::', 'is unspecified'],
    ['::1', 'is a loopback address'],
    ['fe80::1', 'is link-local'],
    ['ff02::1', 'is multicast'],
    ['::ffff:127.0.0.1', 'is a loopback address'],
    ['::ffff:169.254.169.254', 'is link-local'],
  ])('%s %s and no target', (address, expected) => {
    expect(problem(address)).toBe(expected);
  });

  it.each([
    '10.0.0.1',
    '172.16.0.1',
    '192.168.1.1',
    '100.64.0.1',
    '203.0.113.9',
    '169.253.0.1',
    '2001:db8::1',
    'fd00::1',
  ])('%s is a target', (address) => {
    expect(problem(address)).toBeUndefined();
  });

  it('must be in the ranges of the operator where there are any, and may then be special', () => {
    const ranges = ['10.1.0.0/16', '127.0.0.1', 'fd00::/64'];
    expect(problem('10.1.2.3', ranges)).toBeUndefined();
    expect(problem('127.0.0.1', ranges)).toBeUndefined();
    expect(problem('fd00::9', ranges)).toBeUndefined();
    for (const other of ['10.2.0.1', '127.0.0.2', '192.0.2.1', 'fd01::1']) {
      expect(problem(other, ranges)).toBe('is not in --node-addresses');
    }
  });
});

describe('a node', () => {
  it('whose addresses are all special is left out, and why is said', () => {
    const forged = node({ addresses: ['169.254.169.254', '::1'] });
    expect(buildNodeSet([forged]).nodes).toEqual([]);
    expect(leftOutNodes([forged])).toEqual([
      {
        name: 'node-1',
        why: 'its InternalIP 169.254.169.254 is link-local and its InternalIP ::1 is a loopback address',
      },
    ]);
  });

  it('is reached at its first address that is none of those', () => {
    const several = node({ addresses: ['127.0.0.1', '10.0.0.7', '10.0.0.8', 'fe80::1'] });
    expect(buildNodeSet([several]).nodes).toMatchObject([{ addresses: { IPv4: '10.0.0.7' } }]);
    expect(buildNodeSet([several], [parseIpRange('10.0.0.8/32')]).nodes).toMatchObject([
      { addresses: { IPv4: '10.0.0.8' } },
    ]);
  });
});
