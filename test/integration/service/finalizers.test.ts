/** Holding and letting go: finalizers on type changes, deletion, and names that come back under another UID. */
import { beforeAll, describe, expect, it } from 'vitest';
import { openAt, openSockets } from '#test/fakes/sockets';
import {
  OUR_CLASS,
  OUR_FINALIZER,
  UPSTREAM_FINALIZER,
  addresses,
  condition,
  useCluster,
  type Manifest,
  type Namespace,
} from './cluster.ts';
import { startController, type Controller } from './controller.ts';
import { POLL, waitFor } from './wait.ts';

const cluster = useCluster({ controllers: ['namespace-controller'] });
let controller: Controller;
beforeAll(async () => {
  controller = await startController(cluster);
});

async function createServed(namespace: Namespace, name: string, manifest: Manifest = {}): Promise<string> {
  await namespace.create(name, manifest);
  const [address = ''] = addresses(await namespace.untilProgrammed(name));
  await expect.poll(() => openAt(address), POLL).not.toEqual([]);
  return address;
}

describe('should handle load balancer cleanup finalizer (upstream e2e)', () => {
  it.each([
    { kind: 'of our class', spec: { type: 'LoadBalancer', loadBalancerClass: OUR_CLASS }, finalizers: [OUR_FINALIZER] },
    { kind: 'without a class', spec: { type: 'LoadBalancer' }, finalizers: [OUR_FINALIZER, UPSTREAM_FINALIZER] },
  ])('on a Service $kind: added, removed on ClusterIP, added again, removed on deletion', async (row) => {
    const namespace = await cluster.namespace();
    await namespace.create('web', { spec: { type: 'ClusterIP' } });
    for (let round = 1; round <= 2; round += 1) {
      await namespace.patchSpec('web', row.spec);
      const { metadata } = await namespace.untilProgrammed('web');
      expect(metadata.finalizers?.toSorted()).toEqual(row.finalizers);
      await namespace.patchSpec('web', { type: 'ClusterIP', loadBalancerClass: null });
      await namespace.until('web', 'our finalizers to be gone', (service) => !service.metadata.finalizers);
    }
    await namespace.patchSpec('web', row.spec);
    await namespace.untilProgrammed('web');
    await namespace.delete('web');
    await namespace.untilGone('web');
  });
});

describe('deletion', () => {
  it('closes everything first and then lets the Service go', async () => {
    const namespace = await cluster.namespace();
    const address = await createServed(namespace, 'web');
    await namespace.delete('web');
    await namespace.untilGone('web');
    await expect.poll(() => openAt(address), POLL).toEqual([]);
  });

  it('leaves the finalizers of others on, in their order, and the Service with them', async () => {
    const namespace = await cluster.namespace();
    const address = await createServed(namespace, 'web', { finalizers: ['example.com/a', 'example.com/b'] });
    expect((await namespace.get('web')).metadata.finalizers).toEqual(['example.com/a', 'example.com/b', OUR_FINALIZER]);
    await namespace.delete('web');
    const left = await namespace.until(
      'web',
      'our finalizer to be gone',
      ({ metadata }) => !metadata.finalizers?.includes(OUR_FINALIZER),
    );
    expect(left.metadata.finalizers).toEqual(['example.com/a', 'example.com/b']);
    await expect.poll(() => openAt(address), POLL).toEqual([]);
    await namespace.patch('web', { metadata: { finalizers: null } });
    await namespace.untilGone('web');
  });

  it('of a Service that was refused from the start needs nothing of us', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web', { annotations: { 'ballast.dev/algorithm': 'nonsense' } });
    const refused = await namespace.until(
      'web',
      'a refusal',
      (service) => condition(service, 'Accepted') !== undefined,
    );
    expect(refused.metadata.finalizers).toBeUndefined();
    await namespace.delete('web');
    await namespace.untilGone('web');
  });

  it('right after creation leaves nothing', async () => {
    const namespace = await cluster.namespace();
    const before = new Set(await openSockets());
    const names = Array.from({ length: 10 }, (_, index) => `web-${index}`);
    await Promise.all(
      names.map(async (name) => {
        await namespace.create(name);
        await namespace.delete(name);
      }),
    );
    for (const name of names) await namespace.untilGone(name);
    const fresh = async (): Promise<readonly string[]> =>
      (await openSockets()).filter((socket) => socket.endsWith(':80/TCP') && !before.has(socket));
    await expect.poll(fresh, POLL).toEqual([]);
  });

  it('of the namespace takes everything with it', async () => {
    const namespace = await cluster.namespace();
    const open = [await createServed(namespace, 'one'), await createServed(namespace, 'two')];
    await cluster.plane.request('DELETE', `/api/v1/namespaces/${namespace.name}`);
    await namespace.untilGone('one', 30_000);
    await namespace.untilGone('two', 30_000);
    for (const address of open) await expect.poll(() => openAt(address), POLL).toEqual([]);
  });
});

describe('a name that comes back', () => {
  it('after an orderly deletion is a new Service', async () => {
    const namespace = await cluster.namespace();
    await createServed(namespace, 'web');
    await namespace.delete('web');
    await namespace.untilGone('web');
    const address = await createServed(namespace, 'web', { spec: { ports: [{ port: 81 }] } });
    expect(await openAt(address)).toEqual(['81/TCP']);
  });

  /** Gets rid of the Service in spite of our finalizer. */
  async function tearOut(namespace: Namespace, name: string): Promise<void> {
    await namespace.delete(name);
    await waitFor(`the Service ${name} to be gone`, async () => {
      const service = await namespace.find(name);
      if (service?.metadata.finalizers) await namespace.patch(name, { metadata: { finalizers: null } });
      return service === undefined ? true : undefined;
    });
  }

  it.each([
    { when: 'while we looked', lookAway: () => {}, lookAgain: () => {} },
    { when: 'while we were paused', lookAway: () => controller.pause(), lookAgain: () => controller.resume() },
  ])('after somebody tore our finalizer off $when is cleaned up after and served anew', async (row) => {
    const namespace = await cluster.namespace();
    const address = await createServed(namespace, 'web', { spec: { ports: [{ port: 80 }] } });
    row.lookAway();
    await tearOut(namespace, 'web');
    const renewed = await namespace.create('web', { spec: { ports: [{ port: 81 }] } });
    row.lookAgain();
    const programmed = await namespace.untilProgrammed('web');
    expect(programmed.metadata.uid).toBe(renewed.metadata.uid);
    const [now = ''] = addresses(programmed);
    await expect.poll(() => openAt(now), POLL).toEqual(['81/TCP']);
    const old = async (): Promise<readonly string[]> => (now === address ? [] : openAt(address));
    await expect.poll(old, POLL).toEqual([]);
    await namespace.delete('web');
    await namespace.untilGone('web');
    await expect.poll(() => openAt(now), POLL).toEqual([]);
  });
});
