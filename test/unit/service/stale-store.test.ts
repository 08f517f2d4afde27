import { describe, expect, it } from 'vitest';
import { node, service } from '#test/fakes/builders';
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
