import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Reflector } from '#src/kube/reflector';
import { NODES } from '#src/kube/resources';
import { keyOf, Store } from '#src/kube/store';
import { trimNode } from '#src/kube/trim';
import type { Node } from '#src/kube/wire';
import { silentLog } from '#test/fakes/log';
import { FAULTS, FaultyCluster, type Fault } from './faulty-cluster.ts';
import { createClient } from './loopback.ts';

type Step =
  | { readonly kind: 'put'; readonly name: string; readonly label: string }
  | { readonly kind: 'delete'; readonly name: string }
  | { readonly kind: 'fault'; readonly fault: Fault }
  | { readonly kind: 'pause'; readonly ms: number };

const anyName = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h');
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('put'), name: anyName, label: fc.constantFrom('x', 'y') }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete'), name: anyName }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('fault'), fault: fc.constantFrom(...FAULTS) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('pause'), ms: fc.integer({ min: 0, max: 12 }) }) },
);

function act(cluster: FaultyCluster, step: Step): Promise<void> {
  if (step.kind === 'put') cluster.put(step.name, step.label);
  if (step.kind === 'delete') cluster.delete(step.name);
  if (step.kind === 'fault') cluster.strike(step.fault);
  return new Promise((resolve) => setTimeout(resolve, step.kind === 'pause' ? step.ms : 0));
}

function content(nodes: Iterable<Node>): string[] {
  return [...nodes].map((each) => JSON.stringify(trimNode(each))).toSorted();
}

function states(nodes: Iterable<Node>): string[] {
  return [...nodes].map(({ metadata }) => `${metadata.name} ${metadata.uid} ${metadata.labels?.['label']}`).toSorted();
}

/** Plays the steps, then waits until the store has what the cluster has; gives what its subscribers believe it has. */
async function play(steps: readonly Step[]): Promise<{ told: string[]; stored: string[] }> {
  await using cluster = await FaultyCluster.start();
  await using kube = createClient(cluster.server);
  const store = new Store<Node>({ log: silentLog });
  const follower = new Map<string, Node>();
  store.subscribe(({ type, object }) => {
    if (type === 'deleted') follower.delete(keyOf(object));
    else follower.set(keyOf(object), object);
  });
  const reflector = new Reflector({
    client: kube.client,
    resource: NODES,
    store,
    trim: trimNode,
    log: silentLog,
    metrics: kube.metrics,
    pageSize: 3,
    inactivityMs: 60,
    backoff: { initialMs: 1, maxMs: 4, jitter: 1 },
  });
  const stop = new AbortController();
  const running = reflector.run(stop.signal);
  try {
    for (const step of steps) await act(cluster, step);
    cluster.calm();
    await expect
      .poll(() => content(store.list()), { timeout: 4_000, interval: 5 })
      .toEqual(content(cluster.nodes.values()));
    return { told: states(follower.values()), stored: states(store.list()) };
  } finally {
    stop.abort();
    await running;
  }
}

describe('a reflector on a faulty API server', () => {
  it.each(FAULTS)('gets over: %s', async (fault) => {
    const { told, stored } = await play([
      { kind: 'put', name: 'a', label: 'x' },
      { kind: 'put', name: 'b', label: 'x' },
      { kind: 'pause', ms: 20 },
      { kind: 'fault', fault },
      { kind: 'put', name: 'c', label: 'x' },
      { kind: 'delete', name: 'a' },
      { kind: 'fault', fault: 'watch ended' },
      { kind: 'pause', ms: 20 },
      { kind: 'fault', fault },
      { kind: 'put', name: 'b', label: 'y' },
    ]);
    expect(told).toEqual(stored);
    expect(stored).toEqual(['b uid-2 y', 'c uid-3 x']);
  });

  it('has the same content in the end, whatever went wrong in whatever order', async () => {
    const steps = fc.array(anyStep, { minLength: 10, maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(steps, async (each) => {
        const { told, stored } = await play(each);
        expect(told).toEqual(stored);
      }),
      { numRuns: 12, endOnFailure: true },
    );
  });
});
