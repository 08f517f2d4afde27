import { describe, expect, it } from 'vitest';
import { statusOf } from '#providers/proxy/status';
import type { Observed } from '#providers/proxy/observed';
import type { TargetsHealth } from '#providers/proxy/targets';
import { desiredLoadBalancer, manyNodes, member } from '#test/fakes/builders';
import type { MemberOptions } from '#test/fakes/builders';
import { PlanModel } from './plan-model.ts';

const BOTH = [
  { family: 'IPv6', required: true },
  { family: 'IPv4', required: true },
] as const;

const LISTENING = { listen: true } as const;

/** What is observed of the load balancer once it is made, with this health. */
function made(options: MemberOptions, health: TargetsHealth, nodes = 3): ReturnType<typeof statusOf> {
  const model = new PlanModel({ 'proxy-addresses': ['192.0.2.1', 'fd00::1'] });
  const desired = desiredLoadBalancer({ members: [member(options)], nodes: manyNodes(nodes) });
  model.reconcile(desired, desired.id);
  const observed = model.observe(desired.id);
  return statusOf(desired, { ...observed, targets: observed.targets.map((each) => ({ ...each, health })) }, LISTENING);
}

const local = { trafficPolicy: 'Local', endpointNodes: [] } as const;

describe('the status', () => {
  const cases: readonly (readonly [MemberOptions, TargetsHealth, number, boolean, string])[] = [
    [{}, 'healthy', 3, true, 'TargetsHealthy'],
    [{}, 'unchecked', 3, false, 'NotChecked'],
    [{}, 'unhealthy', 3, false, 'NoHealthyTargets'],
    [{}, 'none', 0, false, 'NoNodes'],
    [local, 'none', 3, false, 'NoLocalEndpoints'],
    [local, 'none', 0, false, 'NoNodes'],
  ];
  for (const [options, health, nodes, ready, reason] of cases) {
    it(`is ${reason} with ${nodes} nodes, ${options.trafficPolicy ?? 'Cluster'}, ${health}`, () => {
      const readiness = made(options, health, nodes).readiness.get('uid-web');
      expect(readiness).toMatchObject({ ready, reason });
      // A number would change the message, and so the Service, with every node that comes or goes.
      expect(readiness?.message).toMatch(/^[^0-9]+\.$/);
    });
  }

  it('has the addresses in the order of the Service’s families', () => {
    expect(made({ families: BOTH }, 'healthy').addresses).toEqual([
      { kind: 'ip', ip: 'fd00::1', family: 'IPv6' },
      { kind: 'ip', ip: '192.0.2.1', family: 'IPv4' },
    ]);
    expect(made({ families: BOTH.toReversed() }, 'healthy').addresses).toMatchObject([
      { family: 'IPv4' },
      { family: 'IPv6' },
    ]);
  });

  it('has no address at which nothing listens, and no member that is not served is ready', () => {
    const desired = desiredLoadBalancer();
    const observed: Observed = {
      id: desired.id,
      addresses: ['192.0.2.1'],
      holdings: { uses: { buckets: [] }, free: { IPv4: undefined, IPv6: undefined } },
      local: undefined,
      listeners: [],
      targets: [],
      reserved: new Map(),
      draining: [],
    };
    const { addresses, readiness } = statusOf(desired, observed, LISTENING);
    expect(addresses).toEqual([]);
    expect(readiness.get('uid-web')).toMatchObject({ ready: false, reason: 'NotListening' });
  });
});
