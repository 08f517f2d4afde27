import { describe, expect, it } from 'vitest';
import type { EndpointSlice, Service } from '#src/kube/wire';
import { endpointNodesOf, usableEndpoints } from '#src/loadbalancer/endpoints';

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

describe('the endpoints that traffic may go to', () => {
  const at = (
    family: string,
    addresses: readonly string[],
    conditions: NonNullable<Endpoint['conditions']>,
  ): EndpointSlice => ({
    metadata: meta(`web-${family}`),
    addressType: family,
    endpoints: addresses.map((address) => ({ addresses: [address], nodeName: `n${address.at(-1)}`, conditions })),
    ports: [{ name: 'http', port: 8080 }],
  });

  it('are the ready ones, each counted once however many slices and families show it', () => {
    const slices = [
      at('IPv4', ['10.0.0.2', '10.0.0.1'], READY),
      at('IPv4', ['10.0.0.1', '10.0.0.3'], READY),
      at('IPv6', ['fd00::1'], READY),
      at('IPv4', ['10.0.0.4'], BROKEN),
      at('IPv4', ['10.0.0.5'], TERMINATING),
    ];
    expect(usableEndpoints(service, slices)).toMatchObject({
      total: 5,
      count: 3,
      terminating: false,
      nodes: ['n1', 'n2', 'n3'],
    });
  });

  it('are those that serve while they end, where none is ready', () => {
    expect(usableEndpoints(service, [at('IPv4', ['10.0.0.1'], TERMINATING)])).toMatchObject({
      count: 1,
      terminating: true,
    });
  });

  it('are none where none is ready or serves, with nothing to listen on', () => {
    const expected = { total: 1, count: 0, terminating: false, nodes: [], ports: [] };
    expect(usableEndpoints(service, [at('IPv4', ['10.0.0.1'], BROKEN)])).toEqual(expected);
    expect(usableEndpoints(service, [])).toEqual({ ...expected, total: 0 });
  });

  it('have the ports of their own slices only, without those that have no number', () => {
    const ready = { ...at('IPv4', ['10.0.0.1'], READY), ports: [{ name: 'http', port: 8080 }, { name: 'any' }] };
    const broken = { ...at('IPv4', ['10.0.0.2'], BROKEN), ports: [{ name: 'https', port: 8443 }] };
    expect(usableEndpoints(service, [ready, broken]).ports).toEqual([{ name: 'http', protocol: 'TCP', number: 8080 }]);
  });
});
