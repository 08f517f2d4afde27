import { afterEach, describe, expect, it } from 'vitest';
import { Rig, type RigOptions } from '#test/fakes/service-rig';
import { service } from '#test/fakes/builders';

const rigs: Rig[] = [];
afterEach(async () => {
  for (const rig of rigs.splice(0)) await rig.stop();
});

async function started(options?: RigOptions): Promise<Rig> {
  const rig = new Rig(options);
  rigs.push(rig);
  await rig.start();
  return rig;
}

describe('a Service without a class', () => {
  it('gets finalizers, an address and conditions', async () => {
    const rig = await started();
    rig.api.create(service({ loadBalancerClass: null }));
    await rig.settle();
    const web = rig.api.must('default/web');
    expect(web.metadata.finalizers).toEqual(['ballast.dev/recording', 'service.kubernetes.io/load-balancer-cleanup']);
    expect(web.status?.loadBalancer).toEqual({ ingress: [{ ip: '192.0.2.1', ipMode: 'VIP' }] });
    expect(rig.condition('default/web', 'Accepted')).toBe('True Accepted');
    expect(rig.condition('default/web', 'Programmed')).toBe('True Programmed');
    expect(rig.condition('default/web', 'Ready')).toBe('True HasTargets');
    expect(rig.told()).toEqual(['EnsuringLoadBalancer', 'EnsuredLoadBalancer']);
    expect(rig.world.reachable()).toEqual(['192.0.2.1:80/TCP']);
    expect(rig.api.writes.map(({ subresource }) => subresource)).toEqual(['status', 'status']);
    expect(rig.provider.calls.filter((call) => call.startsWith('observe'))).toHaveLength(2);
  });
});
