import { describe, expect, it } from 'vitest';
import { BallastError } from '#src/errors';
import { service, servicePort } from '#test/fakes/builders';
import { startRig } from './start-rig.ts';

const LATE = 'default/late';

describe('a controller that is fenced', () => {
  it('changes nothing, and does all that is due at once when it leads again, however often it failed', async () => {
    const rig = await startRig();
    rig.api.create(service({ loadBalancerClass: null }));
    await rig.settle();
    const [world, writes] = [rig.world.list(), rig.api.writes.length];
    rig.fence = () => {
      throw new BallastError('NotLeader', 'fenced');
    };
    rig.api.create(
      service({ loadBalancerClass: null, metadata: { name: 'late' }, spec: { ports: [servicePort({ port: 81 })] } }),
    );
    await rig.settle(120_000);
    expect([rig.world.list(), rig.api.writes.length]).toEqual([world, writes]);
    rig.fence = () => {};
    rig.controller.resync();
    await rig.settle();
    expect(rig.world.list()).toHaveLength(2);
    expect(rig.condition(LATE, 'Programmed')).toBe('True Programmed');
  });

  it('lets a step that makes several writes ask before each, and ends the reconcile with its answer', async () => {
    const rig = await startRig();
    let writes = 0;
    rig.provider.apply = async (_step, { fence }) => {
      fence();
      writes += 1;
      rig.fence = () => {
        throw new BallastError('NotLeader', 'fenced');
      };
      fence();
      writes += 1;
    };
    rig.api.create(service({ loadBalancerClass: null }));
    await rig.settle();
    expect(writes).toBe(1);
    expect(rig.captured.lines.filter(({ msg }) => msg === 'reconciled')).toMatchObject([{ code: 'NotLeader' }]);
    expect(rig.condition('default/web', 'Programmed')).toBeUndefined();
  });
});
