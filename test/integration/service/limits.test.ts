/** Objects as large, names as long and changes as quick as the API server allows. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Service } from '#src/kube/wire';
import { openAt } from '#test/fakes/sockets';
import { addresses, condition, refusal, useCluster, type Namespace } from './cluster.ts';
import { startController, type Controller } from './controller.ts';
import { POLL } from './wait.ts';

const cluster = useCluster({ controllers: ['namespace-controller'] });
let controller: Controller;

beforeAll(async () => {
  controller = await startController(cluster);
});
afterAll(async () => {
  await controller?.kill();
});

/** A counter of the controller, summed over the labels that are not given. */
async function counted(name: string, label = ''): Promise<number> {
  const response = await fetch(`${controller.url}/metrics`);
  const lines = (await response.text()).split('\n').filter((line) => line.startsWith(`${name}{`));
  return lines.filter((line) => line.includes(label)).reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

function isServed(service: Service): boolean {
  return condition(service, 'Programmed')?.status === 'True';
}

/** A namespace whose name is as long as a name can be. */
async function longNamespace(): Promise<Namespace> {
  const name = `n${'a'.repeat(61)}z`;
  await cluster.plane.request('POST', '/api/v1/namespaces', { metadata: { name } });
  return cluster.existing(name);
}

describe('a Service with a hundred ports', () => {
  const ports = Array.from({ length: 100 }, (_, index) => ({ name: `p${index}`, port: 1_000 + index }));
  const sorted = ports.map(({ port }) => `${port}/TCP`).toSorted();

  it('is served on all of them, with one address and a message that people can read', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('wide', { spec: { ports } });
    const service = await namespace.until('wide', 'to be served', isServed, 40_000);
    expect(await openAt(addresses(service)[0] ?? '')).toEqual(sorted);
    expect(condition(service, 'Programmed')?.message).toMatch(/ and 90 more at /);
    await namespace.delete('wide');
    await namespace.untilGone('wide');
    expect(await openAt(addresses(service)[0] ?? '')).toEqual([]);
  });

  it('lists every port with its error where the other half is an older one’s', async () => {
    const namespace = await cluster.namespace();
    const annotations = { 'ballast.dev/load-balancer': 'shared' };
    await namespace.create('older', { annotations, spec: { ports: ports.slice(0, 50) } });
    await namespace.until('older', 'to be served', isServed, 40_000);
    // Creation times are whole seconds, and of two in the same one the first by name is the older.
    await namespace.create('younger', { annotations, spec: { ports } });
    const younger = await namespace.until('younger', 'conflicts', (service) => addresses(service).length > 0, 40_000);
    const shown = younger.status?.loadBalancer?.ingress?.[0]?.ports ?? [];
    expect(shown).toHaveLength(100);
    expect(shown.filter(({ error }) => error === 'ballast.dev/PortConflict')).toHaveLength(50);
    const { message = '' } = condition(younger, 'Programmed') ?? {};
    expect(message.length).toBeLessThan(1_024);
    const event = await namespace.untilEvent('younger', 'SyncLoadBalancerFailed');
    expect(Buffer.byteLength(event.note ?? '')).toBeLessThanOrEqual(1_024);
    await expect.poll(() => openAt(addresses(younger)[0] ?? ''), POLL).toEqual(sorted);
  });
});

describe('a Service with as much metadata as there may be', () => {
  const many = (count: number, pad: number): Record<string, string> =>
    Object.fromEntries(
      Array.from({ length: count }, (_, index) => [`ballast.dev/u${index}`, 'x'.repeat(pad)] as const),
    );

  it('is served; ten thousand annotations that mean nothing cost one write and a handful of events', async () => {
    const namespace = await cluster.namespace();
    // Keys and values together may have 256 KiB.
    const tooMuch = await refusal(namespace.create('full', { annotations: many(10_000, 20) }));
    expect(tooMuch.message).toMatch(/annotations: Too long/);
    const before = await counted('ballast_service_writes_total');
    await namespace.create('full', { annotations: many(10_000, 8) });
    const service = await namespace.until('full', 'to be served', isServed, 40_000);
    expect(Object.keys(service.metadata.annotations ?? {})).toHaveLength(10_000);
    expect(condition(service, 'Accepted')?.message).toContain('9995 more annotations under ballast.dev/ are unknown');
    await namespace.untilEvent('full', 'UnknownAnnotation', /9995 more/);
    const told = (await namespace.events('full')).filter(({ reason }) => reason === 'UnknownAnnotation');
    expect(told).toHaveLength(6);
    await namespace.delete('full');
    await namespace.untilGone('full');
    // The status with the finalizers, and their end; one more for whatever is slow.
    expect((await counted('ballast_service_writes_total')) - before).toBeLessThanOrEqual(3);
  });

  it('is refused in few words when what it asks for is long', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('long', { annotations: { 'ballast.dev/addresses': `${'ä,'.repeat(60_000)}x` } });
    const service = await namespace.until('long', 'a refusal', (s) => condition(s, 'Accepted')?.status === 'False');
    expect(condition(service, 'Accepted')?.message.length).toBeLessThan(1_024);
    await namespace.untilEvent('long', 'SyncLoadBalancerFailed');
  });
});

describe('names of the greatest length', () => {
  it('are served, shared by a group, told of in events and let go', async () => {
    const namespace = await longNamespace();
    const names = [`s${'b'.repeat(61)}1`, `s${'b'.repeat(61)}2`];
    const group = `g${'c'.repeat(61)}z`;
    for (const [index, name] of names.entries()) {
      await namespace.create(name, {
        annotations: { 'ballast.dev/load-balancer': group },
        spec: { ports: [{ name: 'p'.repeat(15), port: 80 + index, protocol: 'TCP' }] },
      });
    }
    const served: (string | undefined)[] = [];
    for (const name of names) served.push(addresses(await namespace.untilProgrammed(name))[0]);
    expect(new Set(served).size).toBe(1);
    for (const name of names) await namespace.untilEvent(name, 'EnsuredLoadBalancer');
    const [first = ''] = names;
    await namespace.patch(first, { metadata: { annotations: { 'ballast.dev/load-balancer': `${group}z` } } });
    const tooLong = await namespace.until(first, 'a refusal', (s) => condition(s, 'Accepted')?.status === 'False');
    expect(condition(tooLong, 'Accepted')?.message).toContain('at most 63');
    for (const name of names) await namespace.delete(name);
    for (const name of names) await namespace.untilGone(name);
    await expect.poll(() => openAt(served[0] ?? ''), POLL).toEqual([]);
  });
});

describe('a namespace that is deleted under its Services', () => {
  it('goes with all of them, and nothing is written again and again while it does', async () => {
    const namespace = await cluster.namespace('doomed');
    const names = ['a', 'b', 'c', 'd', 'e'];
    for (const name of names) await namespace.create(name);
    // Somebody else holds one of them for a while, and with it the namespace.
    await namespace.create('held', { finalizers: ['example.com/other'] });
    const open: string[] = [];
    for (const name of [...names, 'held']) open.push(...addresses(await namespace.untilProgrammed(name)));
    const before = await counted('ballast_service_writes_total');
    await cluster.plane.request('DELETE', `/api/v1/namespaces/${namespace.name}`);
    for (const name of names) await namespace.untilGone(name);
    const held = await namespace.until(
      'held',
      'our finalizer to be off',
      ({ metadata }) => metadata.finalizers?.length === 1,
    );
    expect(held.metadata.finalizers).toEqual(['example.com/other']);
    for (const address of open) await expect.poll(() => openAt(address), POLL).toEqual([]);
    // Events are refused there now, and that neither delays nor repeats anything.
    const { message } = await refusal(namespace.create('late'));
    expect(message).toContain('being terminated');
    await cluster.plane.request('PATCH', `/api/v1/namespaces/${namespace.name}/services/held`, {
      metadata: { annotations: { touched: 'yes' } },
    });
    const other = await cluster.namespace();
    await other.create('web');
    await other.untilProgrammed('web');
    // One for each that was let go, and one for the last Service.
    const writes = (await counted('ballast_service_writes_total')) - before;
    expect(writes).toBeGreaterThanOrEqual(names.length + 2);
    expect(writes).toBeLessThanOrEqual(names.length + 3);
    await namespace.patch('held', { metadata: { finalizers: null } });
    await namespace.untilGone('held');
  });
});

describe('a Service that is deleted and made again fifty times', () => {
  it('is served in the end, once, and nothing is left of the others', async () => {
    const namespace = await cluster.namespace();
    const balancers = await counted('ballast_load_balancers');
    const seen = new Set<string>();
    for (let round = 1; round <= 50; round += 1) {
      const { metadata } = await namespace.create('web', { spec: { ports: [{ port: 2_000 + round }] } });
      seen.add(metadata.uid);
      // Some are let work first, the others are not even looked at.
      if (round % 10 === 0) await namespace.untilProgrammed('web');
      if (round === 50) break;
      await namespace.delete('web');
      await namespace.untilGone('web');
    }
    expect(seen.size).toBe(50);
    const service = await namespace.untilProgrammed('web');
    await expect.poll(() => openAt(addresses(service)[0] ?? ''), POLL).toEqual(['2050/TCP']);
    await expect.poll(() => counted('ballast_load_balancers'), POLL).toBe(balancers + 1);
  });
});
