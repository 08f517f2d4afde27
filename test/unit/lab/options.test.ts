import { describe, expect, it } from 'vitest';
import { type LabOptions, resolveOptions } from '../../lab/options.ts';

describe('options of a lab', () => {
  it('makes three nodes with one address family and a client where nothing is said', () => {
    expect(resolveOptions({})).toMatchObject({
      name: 'lab',
      nodes: 3,
      ipFamily: 'ipv4',
      proxyMode: 'nftables',
      machines: [{ name: 'client' }],
      nodeMonitorGracePeriodSeconds: 50,
      detached: false,
    });
  });

  const refused: readonly (readonly [string, LabOptions, string])[] = [
    ['a dash in the name, which would meet another lab’s nodes', { name: 'a-n1' }, 'cannot be named `a-n1`'],
    ['no nodes', { nodes: 0 }, '`nodes` must be a whole number from 1 to 89, not 0'],
    ['half a node', { nodes: 1.5 }, '`nodes` must be a whole number'],
    ['a grace period of nothing', { nodeMonitorGracePeriodSeconds: 0 }, '`nodeMonitorGracePeriodSeconds`'],
    ['a machine with a node’s name', { machines: [{ name: 'n1' }] }, 'cannot be named `n1`'],
    ['a machine with the router’s name', { machines: [{ name: 'router' }] }, 'cannot be named `router`'],
    ['a machine whose name fits no interface', { machines: [{ name: 'a-very-long-one' }] }, 'at most|1 to 13'],
    ['two machines of one name', { machines: [{ name: 'a' }, { name: 'a' }] }, 'Two machines are called `a`'],
  ];
  it.each(refused)('refuses %s', (_what, options, message) => {
    expect(() => resolveOptions(options)).toThrow(new RegExp(message));
  });
});
