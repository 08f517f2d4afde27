import { describe, expect, it } from 'vitest';
import { trimEndpointSlice, trimNode, trimService } from '#src/kube/trim';
import type { EndpointSlice, Node, Service } from '#src/kube/wire';
import { endpointSlice, node, service } from '#test/fakes/builders';

/** What the API server adds, unknown to our types. */
const serverFields = {
  managedFields: [{ manager: 'kubelet', operation: 'Update', time: '2026-01-01T00:00:00Z' }],
  selfLink: '/x',
};

describe('trimService', () => {
  it('keeps what a controller reads and drops what only the API server and kubectl need', () => {
    const metadata = {
      namespace: 'shop',
      name: 'web',
      uid: 'u1',
      resourceVersion: '7',
      generation: 3,
      creationTimestamp: '2026-01-01T00:00:00Z',
      deletionTimestamp: '2026-01-02T00:00:00Z',
      labels: { app: 'web' },
      finalizers: ['ballast.dev/proxy'],
    };
    const annotations = { 'ballast.dev/load-balancer': 'shared' };
    const lastApplied = { 'kubectl.kubernetes.io/last-applied-configuration': '{}' };
    const full = service({ metadata: { ...metadata, annotations: { ...annotations, ...lastApplied } } });
    const stored: Service = { ...full, metadata: { ...full.metadata, ...serverFields } };
    expect(trimService(stored)).toEqual({
      metadata: { ...metadata, annotations },
      spec: full.spec,
      status: full.status,
    });
  });

  it('takes null for absent, however deep, and leaves the rest the same objects', () => {
    const whole = service();
    const text = JSON.stringify({
      ...whole,
      spec: { ...whole.spec, ports: [{ port: 80, name: null }], externalIPs: null },
    });
    const trimmed = trimService(JSON.parse(text));
    expect(trimmed.spec).toEqual({ ...whole.spec, ports: [{ port: 80 }] });
    expect(trimService(whole).spec).toBe(whole.spec);
  });

  it('adds no keys for what is not there', () => {
    const { metadata } = trimService({ metadata: { name: 'a', uid: 'u', resourceVersion: '1' } });
    expect(Object.keys(metadata)).toEqual(['name', 'uid', 'resourceVersion']);
  });
});

describe('trimNode', () => {
  const base = node({
    metadata: { name: 'n1', labels: { zone: 'a' } },
    taints: [{ key: 'k', value: 'v', effect: 'NoSchedule', timeAdded: '2026-01-01T00:00:00Z' }],
    providerId: 'aws:///a/i-1',
  });

  function heartbeat(time: string): Node {
    return {
      ...base,
      metadata: { ...base.metadata, annotations: { volatile: time }, ...serverFields },
      spec: { ...base.spec, podCIDR: '10.0.0.0/24' },
      status: {
        ...base.status,
        images: [{ names: ['big'], sizeBytes: 1 }],
        conditions: [
          { type: 'MemoryPressure', status: 'False', lastHeartbeatTime: time },
          { type: 'Ready', status: 'True', lastHeartbeatTime: time, reason: 'KubeletReady', message: 'ok' },
        ],
      },
    };
  }

  it('keeps labels, taints, addresses and whether it is ready', () => {
    expect(trimNode(heartbeat('2026-01-01T00:00:00Z'))).toEqual({
      metadata: { ...base.metadata, labels: { 'kubernetes.io/hostname': 'n1', zone: 'a' } },
      spec: { taints: [{ key: 'k', value: 'v', effect: 'NoSchedule' }], providerID: 'aws:///a/i-1' },
      status: { addresses: base.status?.addresses, conditions: [{ type: 'Ready', status: 'True' }] },
    });
  });

  it('makes all heartbeats equal', () => {
    expect(trimNode(heartbeat('2026-01-01T00:00:10Z'))).toEqual(trimNode(heartbeat('2026-01-01T00:00:00Z')));
  });

  it('takes a node that has said nothing yet', () => {
    const { metadata } = base;
    expect(trimNode({ metadata })).toEqual({ metadata, spec: {}, status: {} });
  });
});

describe('trimEndpointSlice', () => {
  it('keeps who takes traffic where and drops the rest', () => {
    const full = endpointSlice({ metadata: { annotations: { changed: 'often' } } });
    const [endpoint] = full.endpoints ?? [];
    if (!endpoint) throw new Error('the builder makes an endpoint');
    const targetRef = { kind: 'Pod', name: 'p', namespace: 'default', uid: 'u' };
    const stored: EndpointSlice = { ...full, endpoints: [{ ...endpoint, zone: 'a', hostname: 'h', targetRef }] };
    const { name, namespace, uid, resourceVersion } = full.metadata;
    expect(trimEndpointSlice(stored)).toEqual({
      metadata: { name, namespace, uid, resourceVersion, labels: { 'kubernetes.io/service-name': 'web' } },
      addressType: 'IPv4',
      ports: full.ports,
      endpoints: [{ ...endpoint, zone: 'a' }],
    });
  });

  it('reads the null that the API server writes for no endpoints and no ports', () => {
    const full = endpointSlice();
    const stored: EndpointSlice = JSON.parse(JSON.stringify({ ...full, endpoints: null, ports: null }));
    const trimmed = trimEndpointSlice(stored);
    expect(trimmed.endpoints).toEqual([]);
    expect(trimmed).not.toHaveProperty('ports');
  });
});
