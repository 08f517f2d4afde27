import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { serviceArbitrary } from '#test/fakes/arbitraries';
import { deepFreeze, endpointSlice, groupId, manyNodes, service } from '#test/fakes/builders';
import type { Service } from '#src/kube/wire';
import { buildDesired, type DesiredInput } from '#src/loadbalancer/desired';
import { listenerKey } from '#src/loadbalancer/model';
import type { Capabilities } from '#src/loadbalancer/provider';

const capabilities: fc.Arbitrary<Capabilities> = fc.record({
  needsNodePorts: fc.boolean(),
  protocols: fc.constantFrom(['TCP'] as const, ['TCP', 'UDP'] as const),
  ipMode: fc.constant('VIP' as const),
  sharing: fc.boolean(),
  maxListeners: fc.integer({ min: 1, max: 5 }),
  settings: fc.subarray(['algorithm', 'idleTimeoutSeconds', 'proxyProtocol'] as const),
  inProcess: fc.boolean(),
  seenFromOutside: fc.boolean(),
});

const services: fc.Arbitrary<readonly Service[]> = fc.tuple(
  ...['a', 'b', 'c', 'd'].map((name) =>
    fc.tuple(serviceArbitrary(name), fc.nat(2)).map(([each, second]) => ({
      ...each,
      metadata: { ...each.metadata, creationTimestamp: `2026-01-01T00:00:0${second}Z` },
    })),
  ),
);

const inputs: fc.Arbitrary<DesiredInput> = fc
  .record({ services, capabilities, withSlices: fc.boolean() })
  .map(({ withSlices, ...rest }) => ({
    id: groupId(),
    nodes: manyNodes(3),
    allowedGroups: new Map(),
    addressGrants: [{ addresses: '*', namespaces: '*' } as const],
    endpointSlicesOf: () => (withSlices ? [endpointSlice()] : []),
    ...rest,
  }));

describe('buildDesired', () => {
  it('does not change its input, and gives the same whatever the order', () => {
    fc.assert(
      fc.property(inputs, (input) => {
        deepFreeze(input.services);
        const result = buildDesired(input);
        expect(buildDesired({ ...input, services: input.services.toReversed() })).toEqual(result);
      }),
    );
  });

  it('gives every listener to one member, and says why for every port that it does not serve', () => {
    fc.assert(
      fc.property(inputs, (input) => {
        const { desired, refusals } = buildDesired(input);
        const keys = (desired?.members ?? []).flatMap(({ listeners }) => listeners.map(listenerKey));
        expect(new Set(keys).size).toBe(keys.length);
        expect(keys.length).toBeLessThanOrEqual(input.capabilities.maxListeners);
        expect(desired?.members).not.toEqual([]);
        for (const { metadata, spec } of input.services) {
          const served = desired?.members.find(({ ref }) => ref.uid === metadata.uid)?.listeners.length ?? 0;
          const refused = refusals.filter(({ member }) => member === metadata.uid);
          const whole = refused.some(({ listener }) => listener === undefined);
          expect(whole ? served : served + refused.length).toBe(whole ? 0 : spec?.ports?.length);
        }
      }),
    );
  });

  it('never throws, whatever is in a Service', () => {
    const text = fc.oneof(
      fc.string(),
      fc.constantFrom('ballast.dev/addresses', 'TCP', '10.0.0.0/8', '::/0', '', 'None'),
    );
    const number = fc.oneof(fc.integer(), fc.double());
    const arbitrary = fc.record(
      {
        type: text,
        clusterIP: text,
        loadBalancerClass: text,
        loadBalancerIP: text,
        loadBalancerSourceRanges: fc.array(text),
        ipFamilies: fc.array(text),
        ipFamilyPolicy: text,
        externalTrafficPolicy: fc.oneof(text, fc.constant('Local')),
        healthCheckNodePort: number,
        sessionAffinity: fc.oneof(text, fc.constant('ClientIP')),
        ports: fc.array(
          fc.record({ port: number, protocol: text, nodePort: number, name: text }, { requiredKeys: ['port'] }),
        ),
      },
      { requiredKeys: [] },
    );
    const annotations = fc.dictionary(
      fc.oneof(
        text,
        fc.constantFrom('ballast.dev/load-balancer', 'ballast.dev/addresses', 'ballast.dev/algorithm'),
        text.map((suffix) => `ballast.dev/${suffix}`),
        fc.constant('service.beta.kubernetes.io/load-balancer-source-ranges'),
      ),
      text,
    );
    const wild = fc.record({ spec: arbitrary, annotations }).map(({ spec, annotations }): Service => {
      const { metadata } = service({ metadata: { annotations } });
      return { metadata, spec };
    });
    fc.assert(
      fc.property(fc.array(wild, { maxLength: 3 }), inputs, (services, input) => {
        expect(buildDesired({ ...input, services }).refusals).toBeInstanceOf(Array);
        const bare: Service = { metadata: { name: 'bare', uid: 'x', resourceVersion: '1' } };
        expect(buildDesired({ ...input, services: [...services, bare] }).refusals).toBeInstanceOf(Array);
      }),
      { numRuns: 300 },
    );
  });
});
