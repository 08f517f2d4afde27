/** Nodes that vanish at once from the real API server, or from what is heard of it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listOf, proxyApiServer, refusal, watchOf, type ProxiedApiServer } from '#test/chaos/api-server';
import { always, firstTimes } from '#test/chaos/fault-proxy';
import type { Event } from '#src/kube/wire';
import { useCluster, type Namespace } from './cluster.ts';
import { startController, type Controller } from './controller.ts';
import { waitFor } from './wait.ts';

const cluster = useCluster();
const NODES = ['n1', 'n2', 'n3'];
let api: ProxiedApiServer;
let controller: Controller;
let namespace: Namespace;

beforeAll(async () => {
  api = await proxyApiServer(cluster.plane);
  for (const name of NODES) await createNode(name);
  namespace = await cluster.namespace();
  await namespace.create('web');
});
afterAll(async () => {
  await api?.proxy[Symbol.asyncDispose]();
});

/** Runs a controller that holds nodes for so long, for the tests of the block. */
function useController(hold: string): void {
  beforeAll(async () => {
    controller = await startController(cluster, {
      // No health checks: nothing is to be sent to these nodes.
      flags: ['--kubeconfig', api.kubeconfigPath, '--node-loss-hold', hold, '--proxy-health-port', '0'],
    });
    await namespace.untilProgrammed('web');
    await waitFor('the first targets', () => (targetCounts().length > 0 ? true : undefined));
  });
  afterAll(async () => {
    await controller.kill();
  });
}

function createNode(name: string): Promise<void> {
  const address = `10.99.0.${NODES.indexOf(name) + 1}`;
  return cluster.createNode({ metadata: { name }, status: { addresses: [{ type: 'InternalIP', address }] } });
}

async function deleteNode(name: string): Promise<void> {
  await cluster.plane.request('DELETE', `/api/v1/nodes/${name}`);
}

/** Nodes that are held, as the metrics say. */
async function held(): Promise<number> {
  const response = await fetch(`${controller.url}/metrics`);
  const text = await response.text();
  return Number(/^ballast_nodes_held\{provider="proxy"\} (\d+)$/m.exec(text)?.[1]);
}

function untilHeld(are: (count: number) => boolean): Promise<true> {
  return waitFor('nodes to be held, or no longer', async () => (are(await held()) ? true : undefined), {
    hint: () => cluster.logAbout('nodes'),
  });
}

/** Reasons of the events about Nodes, each with how often it was told. */
async function nodeEvents(): Promise<Readonly<Record<string, number>>> {
  const list = await cluster.plane.request<{ readonly items: readonly Event[] }>(
    'GET',
    '/apis/events.k8s.io/v1/namespaces/default/events',
  );
  const counts: Record<string, number> = {};
  for (const { regarding, reason = '', series } of list.items) {
    if (regarding?.kind === 'Node') counts[reason] = (counts[reason] ?? 0) + (series?.count ?? 1);
  }
  return counts;
}

/** The targets that the Service got, one after the other. */
function targetCounts(): readonly string[] {
  return namespace.steps('web').flatMap((step) => /to (\d+) nodes?/.exec(step)?.[1] ?? []);
}

describe('a node list that empties and refills', () => {
  useController('10m');

  it('takes the targets from nobody when all Nodes are deleted and made again', async () => {
    const before = await namespace.get('web');
    const targets = targetCounts().length;
    for (const name of NODES) await deleteNode(name);
    // One of three may have gone before the others, and so without a doubt.
    await untilHeld((count) => count >= 2);
    for (const name of NODES) await createNode(name);
    await untilHeld((count) => count === 0);
    await waitFor('the event of the end', async () => (await nodeEvents())['NodesReturned']);
    expect(await nodeEvents()).toEqual({ NodesMissing: 1, NodesReturned: 1 });
    expect(
      targetCounts()
        .slice(targets)
        .filter((count) => Number(count) < 2),
    ).toEqual([]);
    expect(await namespace.get('web')).toEqual(before);
  });

  it('changes no target when a list shows no node for a moment', async () => {
    await waitFor('three targets', () => (targetCounts().at(-1) === '3' ? true : undefined));
    const targets = targetCounts().length;
    const empty = firstTimes(1, listOf('nodes'), {
      kind: 'replace',
      change: (body) => JSON.stringify({ ...JSON.parse(body), items: [] }),
    });
    const endEmpty = api.proxy.use(empty);
    // What expires is listed anew: the empty list first, and after it the true one.
    const endExpired = api.proxy.use(always(watchOf('nodes'), refusal(410)));
    api.proxy.cutAll();
    await untilHeld((count) => count === 3);
    endExpired();
    await untilHeld((count) => count === 0);
    endEmpty();
    await namespace.create('later');
    await namespace.untilProgrammed('later');
    expect(targetCounts()).toHaveLength(targets);
    await waitFor('the event of the end', async () => ((await nodeEvents())['NodesReturned'] === 2 ? true : undefined));
    expect(await nodeEvents()).toEqual({ NodesMissing: 2, NodesReturned: 2 });
  });
});

describe('a loss that lasts', () => {
  useController('1s');

  it('is believed in the end, also that of the last node', async () => {
    for (const name of NODES) await deleteNode(name);
    await namespace.untilSteps('web', /to 0 nodes \(remove /, 1);
    expect(await held()).toBe(0);
    await namespace.untilEvent('web', 'UnAvailableLoadBalancer');
    await waitFor('the event of the end', async () => (await nodeEvents())['NodesRemoved']);
  });
});
