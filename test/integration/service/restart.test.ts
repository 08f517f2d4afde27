/** Controllers that end, crash and come back, and two of them at once. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Lease } from '#src/kube/wire';
import { openAt } from '#test/fakes/sockets';
import { addresses, useCluster, type Namespace } from './cluster.ts';
import { newPool, startController, type Controller, type ControllerOptions } from './controller.ts';
import { POLL, stays, waitFor } from './wait.ts';

// Processes that start, and Leases that run out.
vi.setConfig({ testTimeout: 180_000 });

const cluster = useCluster();
const running: Controller[] = [];
const start = async (options: ControllerOptions): Promise<Controller> => {
  const controller = await startController(cluster, options);
  running.push(controller);
  return controller;
};
afterEach(async () => {
  for (const controller of running.splice(0)) await controller.kill();
});

/** Services by name with the address of each. */
async function createAll(namespace: Namespace, names: readonly string[]): Promise<Readonly<Record<string, string>>> {
  const given: Record<string, string> = {};
  for (const name of names) {
    await namespace.create(name);
    given[name] = addresses(await namespace.untilProgrammed(name))[0] ?? '';
  }
  return given;
}

function flags(pool: string, ...more: readonly string[]): readonly string[] {
  return ['--proxy-addresses', pool, ...more];
}

describe.each([
  { cause: 'SIGTERM', end: (controller: Controller) => controller.terminate(), exit: { code: 0, signal: null } },
  { cause: 'a crash', end: (controller: Controller) => controller.kill(), exit: { code: null, signal: 'SIGKILL' } },
])('after $cause and a new start', ({ end, exit }) => {
  it('every Service has the address it had, whoever was created meanwhile', async () => {
    const pool = newPool();
    const namespace = await cluster.namespace();
    const first = await start({ flags: flags(pool) });
    const given = await createAll(namespace, ['a', 'b', 'c']);
    expect(new Set(Object.values(given)).size).toBe(3);

    expect(await end(first)).toEqual(exit);
    for (const address of Object.values(given)) expect(await openAt(address)).toEqual([]);
    for (const [name, address] of Object.entries(given)) {
      expect(addresses(await namespace.get(name)), 'what the status shows while nobody is there').toEqual([address]);
    }
    await namespace.create('0-early');
    await namespace.delete('b');

    await start({ flags: flags(pool) });
    await namespace.untilGone('b');
    await namespace.untilProgrammed('0-early');
    for (const name of ['a', 'c']) {
      await expect.poll(() => openAt(given[name] ?? ''), POLL).toEqual(['80/TCP']);
      expect(addresses(await namespace.untilProgrammed(name))).toEqual([given[name]]);
    }
    expect(Object.values(given).slice(0, 1)).not.toContain(addresses(await namespace.get('0-early'))[0]);
    for (const name of ['a', 'c', '0-early']) await namespace.delete(name);
    for (const name of ['a', 'c', '0-early']) await namespace.untilGone(name);
  });
});

describe('a Service that changed while no controller was there', () => {
  it('is let go when it is ours no more, and a changed port is served', async () => {
    const pool = newPool();
    const namespace = await cluster.namespace();
    const first = await start({ flags: flags(pool) });
    const given = await createAll(namespace, ['left', 'changed']);
    await first.kill();
    await namespace.patchSpec('left', { type: 'ClusterIP', loadBalancerClass: null });
    await namespace.patchSpec('changed', { ports: [{ port: 8080 }] });
    await start({ flags: flags(pool) });
    const left = await namespace.until('left', 'our finalizer to be gone', ({ metadata }) => !metadata.finalizers);
    expect(left.status?.conditions ?? []).toEqual([]);
    await expect.poll(() => openAt(given['changed'] ?? ''), POLL).toEqual(['8080/TCP']);
    await namespace.delete('changed');
    await namespace.untilGone('changed');
  });
});

describe('two replicas', () => {
  const quick = [
    ['--leader-elect', 'true'],
    ['--leader-elect-lease-duration', '8s'],
    ['--leader-elect-renew-deadline', '6s'],
    ['--leader-elect-retry-period', '300ms'],
  ].flat();

  /** A Lease that no other test uses. */
  function newLease(): string {
    leases += 1;
    return `ballast-${leases}`;
  }
  let leases = 0;

  const pathOf = (lease: string): string => `/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/${lease}`;

  /** Who holds the Lease, once somebody does. */
  const holderOf = (lease: string): Promise<string> =>
    waitFor(`a holder of the Lease ${lease}`, async () => {
      const { spec } = await cluster.plane.request<Lease>('GET', pathOf(lease));
      return spec?.holderIdentity || undefined;
    });

  const replica = (pool: string, lease: string): Promise<Controller> =>
    start({ flags: flags(pool, ...quick, '--leader-elect-name', lease) });

  it('have one leader, and the other takes over when it ends', async () => {
    const pool = newPool();
    const namespace = await cluster.namespace();
    const lease = newLease();
    const first = await replica(pool, lease);
    const firstHolder = await holderOf(lease);
    const second = await replica(pool, lease);
    const given = await createAll(namespace, ['web']);
    const address = given['web'] ?? '';
    await stays(async () => expect(await holderOf(lease)).toBe(firstHolder), 1_000);

    expect(await first.terminate()).toEqual({ code: 0, signal: null });
    await expect.poll(() => openAt(address), POLL).toEqual(['80/TCP']);
    expect(await holderOf(lease)).not.toBe(firstHolder);
    expect(addresses(await namespace.get('web'))).toEqual([address]);
    await namespace.create('later');
    await namespace.untilProgrammed('later');
    for (const name of ['web', 'later']) await namespace.delete(name);
    for (const name of ['web', 'later']) await namespace.untilGone(name);
    expect(await second.terminate()).toEqual({ code: 0, signal: null });
  });

  it('have a successor after a crash, once the Lease has run out', async () => {
    const pool = newPool();
    const namespace = await cluster.namespace();
    const lease = newLease();
    const first = await replica(pool, lease);
    await holderOf(lease);
    await replica(pool, lease);
    const [address = ''] = Object.values(await createAll(namespace, ['web']));
    await first.kill();
    await expect.poll(() => openAt(address), POLL).toEqual(['80/TCP']);
    await namespace.delete('web');
    await namespace.untilGone('web');
  });

  it('write nothing while they follow, also when they would do otherwise', async () => {
    const lease = newLease();
    const namespace = await cluster.namespace();
    await replica(newPool(), lease);
    await holderOf(lease);
    await replica(newPool(), lease);
    await createAll(namespace, ['web']);
    const before = await namespace.get('web');
    await stays(async () => expect(await namespace.get('web')).toEqual(before), 1_500);
    await namespace.delete('web');
    await namespace.untilGone('web');
  });

  it('lose the leader when the Lease is taken away, and the process ends so that it can start anew', async () => {
    const lease = newLease();
    const leader = await replica(newPool(), lease);
    const holderIdentity = await holderOf(lease);
    await cluster.plane.request('PATCH', pathOf(lease), {
      spec: { holderIdentity: 'somebody-else', renewTime: microTime(), leaseDurationSeconds: 60 },
    });
    const outlived = sleep(60_000, undefined, { ref: false });
    expect(await Promise.race([leader.exited, outlived])).toEqual({ code: 1, signal: null });
    expect(await holderOf(lease)).toBe('somebody-else');
    expect(holderIdentity).not.toBe('somebody-else');
  });
});

/** Now, as the API server wants it (`metav1.MicroTime`). */
function microTime(): string {
  return new Date().toISOString().replace('Z', '000Z');
}
