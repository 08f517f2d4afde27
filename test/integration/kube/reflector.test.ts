import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { KubeClient, ListOptions } from '#src/kube/client';
import { listPages } from '#src/kube/listpages';
import { Reflector, type ReflectorOptions } from '#src/kube/reflector';
import { NODES } from '#src/kube/resources';
import { Store, type StoreEvent } from '#src/kube/store';
import { trimNode } from '#src/kube/trim';
import type { Node } from '#src/kube/wire';
import { silentLog } from '#test/fakes/log';
import { startControlPlane, type ControlPlane } from '../../control-plane/control-plane.ts';
import { POLL } from '../service/wait.ts';
import { compact, connect, createNodes, nodeDraft, type Connection } from './connection.ts';

const NODE_COUNT = 1_200;
const { signal } = new AbortController();

let plane: ControlPlane;
let kube: Connection;
let store: Store<Node>;
let events: StoreEvent<Node>[];
let stop: AbortController;
let running: Promise<void>;

beforeAll(async () => {
  plane = await startControlPlane();
  kube = await connect(plane);
  await createNodes(kube.client, NODE_COUNT, signal);
});
afterAll(async () => {
  await kube.client.close();
  await plane.stop();
});

beforeEach(() => {
  store = new Store<Node>({ log: silentLog });
  events = [];
  store.subscribe((event) => events.push(event));
  stop = new AbortController();
  running = Promise.resolve();
});
afterEach(async () => {
  stop.abort();
  await running;
});

async function start(connection: Connection, more: Partial<ReflectorOptions<Node>> = {}): Promise<Reflector<Node>> {
  const reflector = new Reflector({
    client: connection.client,
    resource: NODES,
    store,
    trim: trimNode,
    log: silentLog,
    metrics: connection.metrics,
    backoff: { initialMs: 50, maxMs: 500, jitter: 1 },
    ...more,
  });
  running = reflector.run(stop.signal);
  await reflector.hasSynced;
  return reflector;
}

async function value(metric: { get(): Promise<{ values: { value: number }[] }> }): Promise<number> {
  return (await metric.get()).values.reduce((sum, each) => sum + each.value, 0);
}

function label(client: KubeClient, name: string, text: string): Promise<Node> {
  return client.patch(NODES, { name }, { metadata: { labels: { text } } }, { signal });
}

function textOf(name: string): string | undefined {
  return store.get(name)?.metadata.labels?.['text'];
}

/** What the API server has, as our store would hold it. */
async function truth(client: KubeClient): Promise<string[]> {
  const { objects } = await listPages({ client, resource: NODES, trim: trimNode, pageSize: 500, signal });
  return objects.map((each) => JSON.stringify(each)).toSorted();
}

function content(): string[] {
  return store
    .list()
    .map((each) => JSON.stringify(each))
    .toSorted();
}

describe('a reflector on a real API server', () => {
  it('lists 1,200 nodes in three pages and follows what changes', async () => {
    await using own = await connect(plane);
    await start(own);
    expect(store.size).toBe(NODE_COUNT);
    expect(events).toHaveLength(NODE_COUNT);
    const { values } = await own.metrics.requests.get();
    await expect.poll(() => value(own.metrics.watches)).toBe(1);
    // Three pages; the watch is the fourth request, counted when its answer begins.
    expect(values.reduce((sum, each) => sum + each.value, 0)).toBe(3);

    await label(kube.client, 'node-0007', 'changed');
    await kube.client.create(NODES, nodeDraft('extra'), { signal });
    await expect.poll(() => [textOf('node-0007'), store.size]).toEqual(['changed', NODE_COUNT + 1]);
    await kube.client.delete(NODES, { name: 'extra' }, { signal });
    await expect.poll(() => store.size).toBe(NODE_COUNT);
    expect(events.slice(NODE_COUNT).map(({ type, object }) => `${type} ${object.metadata.name}`)).toEqual([
      'updated node-0007',
      'added extra',
      'deleted extra',
    ]);
    expect(content()).toEqual(await truth(kube.client));
  });

  it('keeps quiet about the heartbeats of a kubelet', async () => {
    await start(kube);
    events.length = 0;
    const now = new Date().toISOString();
    const conditions = [{ type: 'Ready', status: 'True', lastHeartbeatTime: now, reason: 'KubeletReady', message: '' }];
    const heartbeat = async (time: string): Promise<Node> =>
      kube.client.patch(
        NODES,
        { name: 'node-0001' },
        { status: { conditions: conditions.map((each) => ({ ...each, lastHeartbeatTime: time })) } },
        { signal, subresource: 'status' },
      );
    await heartbeat(now);
    const last = await heartbeat(new Date(Date.now() + 10_000).toISOString());
    const version = last.metadata.resourceVersion;
    await expect.poll(() => store.get('node-0001')?.metadata.resourceVersion).toBe(version);
    expect(events.map(({ type }) => type)).toEqual(['updated']);
  });

  it('sees a node that was deleted and made again as another one', async () => {
    await start(kube);
    const before = store.get('node-0002')?.metadata.uid;
    events.length = 0;
    await kube.client.delete(NODES, { name: 'node-0002' }, { signal });
    await kube.client.create(NODES, nodeDraft('node-0002'), { signal });
    await expect.poll(() => events.map(({ type }) => type)).toEqual(['deleted', 'added']);
    expect(store.get('node-0002')?.metadata.uid).not.toBe(before);
  });

  it('keeps its content while the API server is killed, and catches up when it is back', async () => {
    await using own = await connect(plane);
    await start(own);
    await plane.killApiServer();
    await expect.poll(() => value(own.metrics.reflectorFailures), POLL).toBeGreaterThan(1);
    expect(store.size).toBe(NODE_COUNT);
    events.length = 0;
    await plane.restartApiServer();
    await label(kube.client, 'node-0003', 'back');
    await expect.poll(() => textOf('node-0003'), POLL).toBe('back');
    expect(events.map(({ type, object }) => `${type} ${object.metadata.name}`)).toEqual(['updated node-0003']);
    expect(content()).toEqual(await truth(kube.client));
  });

  it('lists again when its version is too old, and tells only what differs', async () => {
    await using own = await connect(plane);
    let blocked: Promise<void> = Promise.resolve();
    // Holds the next watch back until the API server has forgotten the version from which it starts.
    const client: ReflectorOptions<Node>['client'] = {
      list: (resource, options) => own.client.list(resource, options),
      async *watch(resource, options) {
        await blocked;
        yield* own.client.watch(resource, { ...options, timeoutSeconds: 2 });
      },
    };
    await start(own, { client });
    const gate = Promise.withResolvers<void>();
    blocked = gate.promise;
    await expect.poll(() => value(own.metrics.watches), POLL).toBe(2);
    events.length = 0;
    await label(kube.client, 'node-0004', 'unseen');
    await compact(plane);
    // Its watch cache would still serve the old version; a new process has none.
    await plane.restartApiServer();
    gate.resolve();
    await expect.poll(() => textOf('node-0004'), POLL).toBe('unseen');
    expect(await value(own.metrics.lists)).toBe(2);
    expect(events.map(({ type, object }) => `${type} ${object.metadata.name}`)).toEqual(['updated node-0004']);
  });

  it('lists everything at once when the pages expire under its hands', async () => {
    const limits: (number | undefined)[] = [];
    const client = {
      list: async (_: unknown, options: ListOptions) => {
        limits.push(options.limit);
        if (limits.length === 2) {
          await label(kube.client, 'node-0005', String(Date.now()));
          await compact(plane);
          await plane.restartApiServer();
        }
        return kube.client.list(NODES, options);
      },
    };
    const { objects } = await listPages({ client, resource: NODES, trim: trimNode, pageSize: 500, signal });
    expect(objects).toHaveLength(NODE_COUNT);
    expect(limits).toEqual([500, 500, undefined]);
  });

  it('notices that the API server hangs while its connections stay open', async () => {
    await using own = await connect(plane, { requestTimeoutMs: 3_000 });
    const reflector = await start(own, { inactivityMs: 3_000 });
    plane.pauseApiServer();
    try {
      await expect.poll(() => value(own.metrics.reflectorFailures), POLL).toBeGreaterThan(1);
      expect(store.size).toBe(NODE_COUNT);
      expect(reflector.lastEventAgeMs).toBeGreaterThan(3_000);
    } finally {
      plane.resumeApiServer();
    }
    await label(kube.client, 'node-0006', 'awake');
    await expect.poll(() => textOf('node-0006'), POLL).toBe('awake');
  });
});
