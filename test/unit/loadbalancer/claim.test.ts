import { describe, expect, it } from 'vitest';
import { service, type ServiceOptions } from '#test/fakes/builders';
import { claimOf, type ClaimRules } from '#src/loadbalancer/claim';

const rules: ClaimRules = {
  providers: [
    { name: 'proxy', loadBalancerClass: 'ballast.dev/proxy' },
    { name: 'aws', loadBalancerClass: 'ballast.dev/aws-nlb' },
  ],
  defaultProvider: 'proxy',
  extraClasses: new Map([
    ['metallb.io/metallb', 'proxy'],
    ['old.example/off', 'bare-metal'],
  ]),
};

describe('claimOf', () => {
  const cases: readonly [string, ServiceOptions, Partial<ClaimRules>, string | undefined][] = [
    ['its own class', {}, {}, 'proxy'],
    ['the class of another provider', { loadBalancerClass: 'ballast.dev/aws-nlb' }, {}, 'aws'],
    ['an extra class', { loadBalancerClass: 'metallb.io/metallb' }, {}, 'proxy'],
    ['an extra class of a provider that is off', { loadBalancerClass: 'old.example/off' }, {}, undefined],
    ['a foreign class', { loadBalancerClass: 'example.com/other' }, {}, undefined],
    ['no class', { loadBalancerClass: null }, {}, 'proxy'],
    ['no class, and another default', { loadBalancerClass: null }, { defaultProvider: 'aws' }, 'aws'],
    ['no class, and no default', { loadBalancerClass: null }, { defaultProvider: undefined }, undefined],
    ['no class, and a default that is off', { loadBalancerClass: null }, { defaultProvider: 'bare-metal' }, undefined],
    ['the class of a provider that is off', { loadBalancerClass: 'ballast.dev/bare-metal' }, {}, undefined],
    ['type ClusterIP', { spec: { type: 'ClusterIP' } }, {}, undefined],
    ['type NodePort', { spec: { type: 'NodePort' } }, {}, undefined],
    ['type ExternalName', { spec: { type: 'ExternalName' } }, {}, undefined],
    ['a headless Service', { spec: { clusterIP: 'None' } }, {}, undefined],
  ];
  it.each(cases)('%s', (_, options, change, provider) => {
    const claim = claimOf(service(options), { ...rules, ...change });
    expect(claim.provider).toBe(provider);
    expect(claim.why).toMatch(/^(its|it) .*[^.]$/);
  });

  it('does not claim an object without a spec', () => {
    const { metadata } = service();
    expect(claimOf({ metadata }, rules)).toEqual({
      provider: undefined,
      why: 'its type is ClusterIP, not LoadBalancer',
    });
  });
});
