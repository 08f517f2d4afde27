import { describe, expect, it } from 'vitest';
import { endpointSlice, node, service, servicePort } from '#test/fakes/builders';
import type { Rig } from '#test/fakes/service-rig';
import { startRig } from './start-rig.ts';

/** What one change made the controller do. */
interface Cost {
  readonly observed: number;
  readonly applied: number;
  readonly writes: number;
  readonly events: number;
}

const POOL = Array.from({ length: 210 }, (_, index) => `10.1.${index >> 8}.${index & 255}`);
const NOTHING: Cost = { observed: 0, applied: 0, writes: 0, events: 0 };

function nodePortOf(index: number): number {
  return 30_000 + index;
}

function nameOf(index: number): string {
  return `svc-${index}`;
}

/** A cluster of so many Services that are all served. */
async function clusterOf(size: number): Promise<Rig> {
  const rig = await startRig({ provider: { pool: POOL } });
  for (let index = 0; index < size; index++) create(rig, index);
  await rig.settle();
  expect(rig.api.list().filter(({ status }) => status?.loadBalancer?.ingress?.length)).toHaveLength(size);
  return rig;
}

function create(rig: Rig, index: number): void {
  const ports = [servicePort({ nodePort: nodePortOf(index) })];
  rig.api.create(service({ loadBalancerClass: null, metadata: { name: nameOf(index) }, spec: { ports } }));
}

async function costOf(rig: Rig, change: () => void): Promise<Cost> {
  rig.provider.calls.length = 0;
  rig.api.writes.length = 0;
  rig.events.length = 0;
  change();
  await rig.settle();
  return {
    observed: rig.provider.calls.filter((call) => call.startsWith('observe ')).length,
    applied: rig.provider.applied.length,
    writes: rig.api.writes.length,
    events: rig.events.length,
  };
}

/** Every kind of change, once, in a cluster of so many Services. */
async function costsAt(size: number): Promise<Readonly<Record<string, Cost>>> {
  const rig = await clusterOf(size);
  const name = `default/${nameOf(size)}`;
  const port = servicePort({ port: 81, nodePort: nodePortOf(size) });
  const extra = node({ metadata: { name: 'node-3' }, addresses: ['10.0.0.3'] });
  return {
    'a Service is created': await costOf(rig, () => create(rig, size)),
    'its port is changed': await costOf(rig, () => void rig.api.edit(name, { ports: [port] })),
    'its endpoints change': await costOf(rig, () =>
      rig.putSlice(endpointSlice({ service: nameOf(size), endpoints: [{ address: '10.244.0.1' }] })),
    ),
    'it is deleted': await costOf(rig, () => rig.api.delete(name)),
    'a node comes': await costOf(rig, () => rig.putNode(extra)),
    'the node tells of itself': await costOf(rig, () => rig.putNode(extra)),
  };
}

// Looking at hundreds of Services takes a busy machine some seconds.
describe('what a change costs', { timeout: 60_000 }, () => {
  it('does not grow with the Services that it is not about', async () => {
    const { 'a node comes': few, ...fewer } = await costsAt(20);
    const { 'a node comes': many, ...more } = await costsAt(200);
    expect(more).toEqual(fewer);
    expect(more).toMatchObject({
      'a Service is created': { applied: 2, writes: 2 },
      'its endpoints change': NOTHING,
      'the node tells of itself': NOTHING,
    });
    // A node concerns every load balancer: each is looked at before and after its one step, and nothing is written.
    expect(few).toEqual({ observed: 40, applied: 20, writes: 0, events: 0 });
    expect(many).toEqual({ observed: 400, applied: 200, writes: 0, events: 0 });
  });
});
