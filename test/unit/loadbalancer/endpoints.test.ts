import { describe, expect, it } from 'vitest';
import type { EndpointSlice, Service } from '#src/kube/wire';
import { endpointNodesOf } from '#src/loadbalancer/endpoints';

type Endpoint = NonNullable<EndpointSlice['endpoints']>[number];

const meta = (name: string): Service['metadata'] => ({ name, uid: `uid-${name}`, resourceVersion: '1' });
const service: Service = { metadata: meta('web'), spec: {} };

function slice(...endpoints: readonly Omit<Endpoint, 'addresses'>[]): EndpointSlice {
  return {
    metadata: meta('web-1'),
    addressType: 'IPv4',
    endpoints: endpoints.map((endpoint) => ({ addresses: ['10.244.1.2'], ...endpoint })),
  };
}

const READY = { ready: true, serving: true, terminating: false } as const;
const TERMINATING = { ready: false, serving: true, terminating: true } as const;
const BROKEN = { ready: false, serving: false, terminating: false } as const;

describe('the nodes that traffic with externalTrafficPolicy Local may go to', () => {
  it('are those with a ready endpoint, each once and in order, over all slices', () => {
    const slices = [
      slice({ nodeName: 'n2', conditions: READY }, { nodeName: 'n1', conditions: READY }),
      slice({ nodeName: 'n2', conditions: READY }, { nodeName: 'n3', conditions: BROKEN }),
    ];
    expect(endpointNodesOf(service, slices)).toEqual(['n1', 'n2']);
  });

  it('are not those whose endpoints are all about to end, as long as others are ready', () => {
    const slices = [slice({ nodeName: 'n1', conditions: TERMINATING }, { nodeName: 'n2', conditions: READY })];
    expect(endpointNodesOf(service, slices)).toEqual(['n2']);
  });

  it('are those that still serve while they end, where none is ready', () => {
    const ended = { ready: false, serving: false, terminating: true };
    const slices = [slice({ nodeName: 'n1', conditions: TERMINATING }, { nodeName: 'n2', conditions: ended })];
    expect(endpointNodesOf(service, slices)).toEqual(['n1']);
  });

  it('are none where nothing is ready or serves', () => {
    expect(endpointNodesOf(service, [slice({ nodeName: 'n1', conditions: BROKEN })])).toEqual([]);
    expect(endpointNodesOf(service, [])).toEqual([]);
  });

  it('are all with an endpoint where the Service publishes those that are not ready', () => {
    const publishing: Service = { ...service, spec: { publishNotReadyAddresses: true } };
    const slices = [slice({ nodeName: 'n1', conditions: BROKEN }, { nodeName: 'n2', conditions: READY })];
    expect(endpointNodesOf(publishing, slices)).toEqual(['n1', 'n2']);
  });

  it('count conditions that are not given as true, and leave out endpoints without a node', () => {
    expect(endpointNodesOf(service, [slice({ nodeName: 'n1' }, { conditions: READY })])).toEqual(['n1']);
  });
});
