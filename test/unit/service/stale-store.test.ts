import { describe, expect, it } from 'vitest';
import { node, service, servicePort } from '#test/fakes/builders';
import { addressesOf } from '#test/fakes/service-api';
import { startRig } from './start-rig.ts';

const WEB = 'default/web';
const EXCLUDED = { 'node.kubernetes.io/exclude-from-external-load-balancers': 'true' };

describe('while the watch has not yet brought back what was written', () => {
  it('a status that became wrong and right again is right in the end', async () => {
    const only = (labels: Readonly<Record<string, string>>) =>
      node({ metadata: { name: 'node-1', labels }, addresses: ['10.0.0.1'] });
    const rig = await startRig({ nodes: [only({})] });
    rig.api.create(service({ loadBalancerClass: null }));
    await rig.settle();
    expect(rig.condition(WEB, 'Ready')).toBe('True HasTargets');

    rig.api.watchIsSlow = true;
    rig.putNode(only(EXCLUDED));
    await rig.settle();
    expect(rig.condition(WEB, 'Ready')).toBe('False NoNodes');
    // By the store, the status has never said anything else than what is right again.
    rig.putNode(only({}));
    await rig.settle();
    rig.api.flush();
    rig.api.watchIsSlow = false;
    await rig.settle();
    expect(rig.condition(WEB, 'Ready')).toBe('True HasTargets');
  });
});

describe('a Service that leaves a group while the group’s status is on its way to it', () => {
  it('keeps what its own load balancer says', async () => {
    const only = (labels: Readonly<Record<string, string>>) =>
      node({ metadata: { name: 'node-1', labels }, addresses: ['10.0.0.1'] });
    const rig = await startRig({ nodes: [only({})] });
    const annotations = { 'ballast.dev/load-balancer': 'red' };
    const named = (name: string, port: number) =>
      service({
        loadBalancerClass: null,
        metadata: { name, annotations },
        spec: { ports: [servicePort({ port, nodePort: 30_000 + port })] },
      });
    rig.api.create(named('stays', 81));
    rig.api.create(named('web', 80));
    await rig.settle();
    expect(addressesOf(rig.api.must(WEB))).toEqual(['192.0.2.1']);

    const own = Promise.withResolvers<void>();
    let isFirst = true;
    rig.api.beforeWrite = async ({ name }) => {
      if (name !== WEB || !isFirst) return;
      isFirst = false;
      rig.api.annotate(WEB, { 'ballast.dev/load-balancer': undefined });
      await own.promise;
    };
    rig.api.afterWrite = ({ name, patch }) => {
      if (name === WEB && patch.status) own.resolve();
    };
    rig.putNode(only(EXCLUDED));
    await rig.settle();
    expect(isFirst).toBe(false);
    expect(addressesOf(rig.api.must(WEB))).toEqual(['192.0.2.2']);
    expect(rig.message(WEB, 'Programmed')).toContain('192.0.2.2');
  });
});
