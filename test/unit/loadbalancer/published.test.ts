import { describe, expect, it } from 'vitest';
import { service, servicePort } from '#test/fakes/builders';
import { listenerKey } from '#src/loadbalancer/model';
import { publishedListenersOf } from '#src/loadbalancer/published';

type Ingress = NonNullable<Parameters<typeof service>[0]>['status'];

function published(ingress: object, programmed: readonly [status: string, message: string]): readonly string[] {
  const [status, message] = programmed;
  const condition = { type: 'ballast.dev/Programmed', status, reason: 'X', message, lastTransitionTime: '' };
  const shown: Ingress = { loadBalancer: { ingress: [{ ip: '192.0.2.1', ...ingress }] }, conditions: [condition] };
  const ports = [80, 8080].map((port) => servicePort({ port }));
  const made = service({ spec: { ports: [...ports, servicePort({ port: 80, protocol: 'UDP' })] }, status: shown });
  return publishedListenersOf(made).map((listener) => `${listener.address} ${listenerKey(listener)}`);
}

describe('the ports that a Service shows as its own', () => {
  it('are those that its condition names, not those it asks for since then', () => {
    expect(published({}, ['True', 'Serves 8080/TCP, 80/UDP at 192.0.2.1.'])).toEqual([
      '192.0.2.1 8080/TCP',
      '192.0.2.1 80/UDP',
    ]);
  });

  it('are none where neither the condition nor the address names any', () => {
    expect(published({}, ['False', 'The request is not accepted.'])).toEqual([]);
    expect(published({}, ['False', 'The older a/b already has 80/TCP on the load balancer.'])).toEqual([]);
    expect(published({}, ['True', 'Serves 1/TCP, 8080/TCP, and 11 more at 192.0.2.1.'])).toEqual([
      '192.0.2.1 8080/TCP',
    ]);
  });

  it('are those without an error where the address lists them', () => {
    const ports = [
      { port: 80, protocol: 'TCP', error: 'ballast.dev/PortConflict' },
      { port: 8080, protocol: 'TCP' },
    ];
    expect(published({ ports }, ['False', 'PortConflict'])).toEqual(['192.0.2.1 8080/TCP']);
  });

  it('are none at a hostname', () => {
    expect(published({ ip: undefined, hostname: 'lb.example.com' }, ['True', ''])).toEqual([]);
  });
});
