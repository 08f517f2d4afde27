/** Who may write the status of Services can claim another's address there; who is older is believed first. */
import { describe, expect, it } from 'vitest';
import { service, servicePort } from '#test/fakes/builders';
import { Rig } from '#test/fakes/service-rig';

const at = (name: string, second: number): ReturnType<typeof service> =>
  service({
    metadata: { name, creationTimestamp: `2026-01-01T00:00:0${second}Z` },
    loadBalancerClass: null,
    spec: { ports: [servicePort({ nodePort: 30_080 + second })] },
    status: { loadBalancer: { ingress: [{ ip: '192.0.2.9', ipMode: 'Proxy' }] } },
  });

describe('two Services whose status shows the same address', () => {
  it('are told to the provider by age at a start, whatever their names and the order of the list', async () => {
    const rig = new Rig();
    for (const each of [at('a-forger', 3), at('m-older', 1), at('b-younger', 2)]) rig.api.create(each);
    await rig.start();
    expect(rig.provider.restored?.map(({ id }) => id.name)).toEqual(['m-older', 'b-younger', 'a-forger']);
    expect(rig.provider.restored?.map(({ addresses }) => addresses)).toEqual(
      Array.from({ length: 3 }, () => ['192.0.2.9']),
    );
    await rig.stop();
  });
});
