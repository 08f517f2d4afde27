import { describe, expect, it } from 'vitest';
import { apiVersionOf, ENDPOINT_SLICES, LEASES, NODES, pathOf, SERVICES } from '#src/kube/resources';

describe('pathOf', () => {
  it.each([
    [pathOf(SERVICES), '/api/v1/services'],
    [pathOf(SERVICES, { namespace: 'shop' }), '/api/v1/namespaces/shop/services'],
    [
      pathOf(SERVICES, { namespace: 'shop', name: 'web', subresource: 'status' }),
      '/api/v1/namespaces/shop/services/web/status',
    ],
    [pathOf(NODES, { name: 'n1' }), '/api/v1/nodes/n1'],
    [pathOf(NODES, { namespace: 'ignored', name: 'n1' }), '/api/v1/nodes/n1'],
    [pathOf(LEASES, { namespace: 'a', name: 'b' }), '/apis/coordination.k8s.io/v1/namespaces/a/leases/b'],
    [pathOf(ENDPOINT_SLICES), '/apis/discovery.k8s.io/v1/endpointslices'],
  ])('builds %s', (path, expected) => {
    expect(path).toBe(expected);
  });

  it('never lets a name leave its place in the path', () => {
    expect(pathOf(SERVICES, { namespace: '../x', name: 'a/b?c' })).toBe('/api/v1/namespaces/..%2Fx/services/a%2Fb%3Fc');
  });

  it('refuses an object of a namespaced resource without its namespace', () => {
    expect(() => pathOf(SERVICES, { name: 'web' })).toThrow('services/web needs a namespace');
  });
});

describe('apiVersionOf', () => {
  it('leaves the core group out', () => {
    expect([apiVersionOf(SERVICES), apiVersionOf(LEASES)]).toEqual(['v1', 'coordination.k8s.io/v1']);
  });
});
