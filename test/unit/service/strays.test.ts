/** Where a member of a group is while the group that it names makes no sense, or is none for it. */
import { describe, expect, it } from 'vitest';
import { BallastError } from '#src/errors';
import type { Service } from '#src/kube/wire';
import { keyOf } from '#src/loadbalancer/identity';
import { endpointSlice, service, servicePort } from '#test/fakes/builders';
import type { Rig } from '#test/fakes/service-rig';
import { startRig } from './start-rig.ts';

function named(name: string, port: number, group: string, spec: Service['spec'] = {}, namespace = 'default'): Service {
  return service({
    loadBalancerClass: null,
    metadata: { namespace, name, uid: `uid-${name}`, annotations: inGroup(group) },
    spec: { ports: [servicePort({ port, nodePort: 30_000 + port })], ...spec },
  });
}

function inGroup(name: string): Readonly<Record<string, string>> {
  return { 'ballast.dev/load-balancer': name };
}

/** Ports and targets by load balancer. */
function ports(rig: Rig): Readonly<Record<string, readonly number[]>> {
  const all = rig.world.list().map(({ id, listeners }) => [keyOf(id), listeners.map(({ listener }) => listener.port)]);
  return Object.fromEntries(all);
}

describe('a member whose group annotation makes no sense', () => {
  it('still has its traffic follow its pods', async () => {
    const rig = await startRig();
    const podOn = (nodeName: string): void => rig.putSlice(endpointSlice({ service: 'a', endpoints: [{ nodeName }] }));
    podOn('node-1');
    rig.api.create(named('a', 80, 'shared', { externalTrafficPolicy: 'Local', healthCheckNodePort: 31_000 }));
    rig.api.create(named('b', 81, 'shared'));
    await rig.settle();
    rig.api.annotate('default/a', inGroup('Shared_'));
    await rig.settle();
    podOn('node-2');
    await rig.settle();
    const own = rig.world.list().flatMap(({ listeners }) => listeners.filter(({ listener }) => listener.port === 80));
    expect(own.map(({ targets }) => targets)).toEqual([['10.0.0.2:30080']]);
  });

  /** `a` has moved from alpha to beta and is served there, but alpha cannot let go of it. */
  async function moved(): Promise<Rig> {
    const rig = await startRig();
    rig.api.create(named('a', 80, 'alpha'));
    rig.api.create(named('b', 81, 'alpha'));
    rig.api.create(named('c', 82, 'beta'));
    await rig.settle();
    isStuck(rig);
    rig.api.annotate('default/a', inGroup('beta'));
    await rig.settle();
    expect(ports(rig)).toEqual({ 'group/default/alpha': [80, 81], 'group/default/beta': [82, 80] });
    return rig;
  }

  function isStuck(rig: Rig): void {
    rig.provider.beforeStep = ({ id }) => {
      if (id.name === 'alpha') throw new BallastError('ApiUnavailable', 'alpha does not answer');
    };
  }

  it('stays with the one that it named last, not with one that has not let go of it yet', async () => {
    const rig = await moved();
    rig.api.annotate('default/a', inGroup('Beta'));
    await rig.settle(3_000);
    rig.provider.beforeStep = () => {};
    await rig.settle(rig.config.resyncMs);
    expect(ports(rig)).toEqual({ 'group/default/alpha': [81], 'group/default/beta': [82, 80] });
  });

  it('stays with the one whose address it shows, where the process has not seen what it named before', async () => {
    const rig = await moved();
    await rig.stop();
    rig.api.annotate('default/a', inGroup('Beta'));
    await rig.restart();
    await rig.settle(rig.config.resyncMs);
    expect(ports(rig)).toEqual({ 'group/default/alpha': [81], 'group/default/beta': [82, 80] });
  });
});

describe('a guest in a group of another namespace', () => {
  for (const value of ['prod/shared', 'prod/shared ', 'prod/shared_']) {
    it(`leaves it when it may not join any more, though it names “${value}”`, async () => {
      const allowedGroups = new Map([['prod/shared', ['team']]]);
      const rig = await startRig({ config: { allowedGroups } });
      rig.api.create(named('web', 80, 'shared', {}, 'prod'));
      rig.api.create(named('guest', 81, 'prod/shared', {}, 'team'));
      await rig.settle();
      expect(ports(rig)).toEqual({ 'group/prod/shared': [80, 81] });
      rig.api.annotate('team/guest', inGroup(value));
      await rig.settle();
      await rig.stop();
      allowedGroups.clear();
      await rig.restart();
      expect(ports(rig)).toEqual({ 'group/prod/shared': [80], 'service/team/guest': [81] });
      expect(rig.condition('team/guest', 'Accepted')).toMatch(/^False (GroupNotAllowed|InvalidAnnotation)$/);
    });
  }

  it('stays in it by a mistyped annotation while it may join', async () => {
    const rig = await startRig({ config: { allowedGroups: new Map([['prod/shared', ['team']]]) } });
    rig.api.create(named('web', 80, 'shared', {}, 'prod'));
    rig.api.create(named('guest', 81, 'prod/shared', {}, 'team'));
    await rig.settle();
    rig.api.annotate('team/guest', inGroup('prod/shared_'));
    await rig.restart();
    expect(ports(rig)).toEqual({ 'group/prod/shared': [80, 81] });
  });
});
