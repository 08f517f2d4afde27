import { isIP, isIPv6 } from 'node:net';
import { describe, expect, it } from 'vitest';
import {
  addressesOf,
  familiesOf,
  hardwareAddress,
  insideServer,
  LOAD_BALANCER_RANGES,
  machineHost,
  MOST_MACHINES,
  MOST_NODES,
  nodeHost,
  podCidrs,
  ROUTER_HOST,
} from '../../lab/addresses.ts';

describe('addresses of a lab', () => {
  it('puts the primary family first', () => {
    expect(familiesOf('dual')).toEqual(['IPv4', 'IPv6']);
    expect(familiesOf('ipv6')).toEqual(['IPv6']);
  });

  it('gives a node an address and pods in each family of the lab, and in no other', () => {
    expect(addressesOf(['IPv4', 'IPv6'], 'nodes', nodeHost(2))).toEqual({
      IPv4: '172.30.0.12',
      IPv6: 'fd00:172:30::12',
    });
    expect(addressesOf(['IPv6'], 'behindRouter', machineHost(0))).toEqual({ IPv6: 'fd00:172:31::100' });
    expect(podCidrs(['IPv4'], 2)).toEqual({ IPv4: '10.244.2.0/24' });
  });

  it('never gives an address twice, nor one that is kept for load balancers', () => {
    const nodes = Array.from({ length: MOST_NODES }, (_, index) => nodeHost(index + 1));
    const machines = Array.from({ length: MOST_MACHINES }, (_, index) => machineHost(index));
    const hosts = [...nodes, ...machines, ROUTER_HOST];
    expect(new Set(hosts).size).toBe(hosts.length);
    const first = Number(LOAD_BALANCER_RANGES.IPv4.first.split('.')[3]);
    const last = Number(LOAD_BALANCER_RANGES.IPv4.last.split('.')[3]);
    expect(hosts.filter((host) => host >= first && host <= last)).toEqual([]);
    const addresses = hosts.flatMap((host) => Object.values(addressesOf(['IPv4', 'IPv6'], 'nodes', host)));
    expect(addresses.filter((address) => isIP(address) === 0)).toEqual([]);
  });

  it('refuses more nodes or machines than there are addresses', () => {
    expect(() => nodeHost(MOST_NODES + 1)).toThrow('at most 89 nodes');
    expect(() => machineHost(MOST_MACHINES)).toThrow('at most 100 machines');
  });

  it('writes an IPv6 API server in brackets', () => {
    expect(insideServer(['IPv6'])).toBe('https://[fd00:172:30::1]:6443');
    expect(insideServer(['IPv4', 'IPv6'])).toBe('https://172.30.0.1:6443');
    expect(isIPv6(new URL(insideServer(['IPv6'])).hostname.slice(1, -1))).toBe(true);
  });

  it('gives hosts of both networks hardware addresses of their own', () => {
    expect(hardwareAddress('nodes', 11)).toBe('02:ba:11:a5:30:0b');
    expect(hardwareAddress('behindRouter', 11)).not.toBe(hardwareAddress('nodes', 11));
  });
});
