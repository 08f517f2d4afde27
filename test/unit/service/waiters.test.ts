import { describe, expect, it } from 'vitest';
import { service, servicePort } from '#test/fakes/builders';
import type { Rig } from '#test/fakes/service-rig';
import { BallastError } from '#src/errors';
import type { Service } from '#src/kube/wire';
import { startRig } from './start-rig.ts';

let created = 0;

function named(name: string, ports: readonly number[], annotations: Readonly<Record<string, string>> = {}): Service {
  created += 10;
  return service({
    loadBalancerClass: null,
    metadata: { name, creationTimestamp: `2026-01-01T00:00:${created / 10}Z`, annotations },
    spec: { ports: ports.map((port, index) => servicePort({ port, nodePort: 30_000 + created + index })) },
  });
}

/** A group that serves port 80, has a port 443 of its own, and one member that waits for the holder's address. */
function waitingGroup(rig: Rig, group: string): void {
  const annotations = { 'ballast.dev/load-balancer': group };
  rig.api.create(named(`${group}-a`, [80, 443], annotations));
  rig.api.create(named(`${group}-b`, [25], { ...annotations, 'ballast.dev/addresses': '192.0.2.1' }));
}

/** Two groups that wait for an address and whose ports 443 cannot be opened. */
async function twoFailing(error: BallastError): Promise<{ readonly rig: Rig; readonly attempts: () => number }> {
  created = 0;
  const rig = await startRig();
  rig.api.create(named('holder', [80]));
  await rig.settle();
  let times = 0;
  rig.provider.beforeStep = ({ summary }) => {
    // The bound lets the test end where there is no backoff.
    if (!summary.startsWith('put 443') || times >= 60) return;
    times += 1;
    throw error;
  };
  waitingGroup(rig, 'g1');
  waitingGroup(rig, 'g2');
  await rig.settle();
  for (const name of ['g1-b', 'g2-b']) expect(rig.condition(`default/${name}`, 'Programmed')).toContain('AddressInUse');
  return { rig, attempts: () => times };
}

const taken = new BallastError('ListenFailed', 'Port 443 is taken by another program.');

describe('load balancers that wait for what others hold', () => {
  it('do not wake each other with steps that fail', async () => {
    const { rig, attempts } = await twoFailing(taken);
    await rig.settle(10_000);
    expect(attempts()).toBeLessThan(16);
  });

  it('are not woken around their backoff', async () => {
    const { rig, attempts } = await twoFailing(taken);
    await rig.settle(30_000);
    const before = attempts();
    rig.api.create(named('other', [81]));
    await rig.settle();
    for (let port = 82; port < 87; port++) {
      rig.api.edit('default/other', { ports: [servicePort({ port, nodePort: 30_900 })] });
      await rig.settle();
    }
    expect(attempts() - before).toBeLessThan(5);
  });

  it('have what they wait for as soon as it is free, however long they have failed', async () => {
    const { rig, attempts } = await twoFailing(taken);
    // Their next tries are minutes away.
    await rig.settle(200_000);
    const before = attempts();
    rig.api.delete('default/holder');
    await rig.settle();
    expect(rig.world.reachable()).toContain('192.0.2.1:25/TCP');
    expect(attempts() - before).toBeLessThanOrEqual(4);
  });

  it('have it also when it was let go while they looked', async () => {
    created = 0;
    const rig = await startRig();
    rig.api.create(named('holder', [80]));
    await rig.settle();
    // The late one has seen the address taken, and goes on only when it has been given back.
    const observe = rig.provider.observe.bind(rig.provider);
    const seen = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    rig.provider.observe = async (id, context) => {
      const observed = await observe(id, context);
      if (id.name !== 'late') return observed;
      seen.resolve();
      await goOn.promise;
      return observed;
    };
    rig.api.create(named('late', [81], { 'ballast.dev/addresses': '192.0.2.1' }));
    await rig.settle();
    await seen.promise;
    rig.api.delete('default/holder');
    await rig.settle();
    expect(rig.api.get('default/holder')).toBeUndefined();
    goOn.resolve();
    await rig.settle();
    expect(rig.world.reachable()).toEqual(['192.0.2.1:81/TCP']);
  });

  it('have it also when looking again fails for the one that let it go', async () => {
    created = 0;
    const rig = await startRig();
    rig.api.create(named('holder', [80]));
    rig.api.create(named('late', [81], { 'ballast.dev/addresses': '192.0.2.1' }));
    await rig.settle();
    let looks = 0;
    const observe = rig.provider.observe.bind(rig.provider);
    rig.provider.observe = (id, context) => {
      if (id.name !== 'holder' || ++looks !== 2) return observe(id, context);
      return Promise.reject(new BallastError('ApiUnavailable', 'The cloud is away.'));
    };
    rig.api.delete('default/holder');
    await rig.settle();
    expect(rig.world.reachable()).toEqual(['192.0.2.1:81/TCP']);
  });

  it('find what was let go at the next try of their own', async () => {
    const { rig } = await twoFailing(taken);
    rig.api.delete('default/holder');
    await rig.settle(60_000);
    for (const name of ['g1-b', 'g2-b']) {
      expect(['True Programmed', 'False AddressInUse']).toContain(rig.condition(`default/${name}`, 'Programmed'));
    }
    expect(rig.world.reachable()).toContain('192.0.2.1:25/TCP');
  });
});
