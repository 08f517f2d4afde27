/** What becomes of Services while lists and watches break, or the API server answers nothing, late or with errors. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { isWrite, listOf, proxyApiServer, refusal, watchOf } from '#test/chaos/api-server';
import { openAt } from '#test/fakes/sockets';
import { always, firstTimes, type Cut, type Exchange, type FaultProxy } from '#test/chaos/fault-proxy';
import { addresses, isProgrammed, useCluster } from '../service/cluster.ts';
import { newPool, startController } from '../service/controller.ts';
import { stays } from '../service/wait.ts';
import { startReplica } from './replica.ts';

// Half a minute of it is meant to pass, and many run at once.
vi.setConfig({ testTimeout: 180_000 });

const cluster = useCluster();

/** Refuses everything from now on, also what streams, for as long as `meanwhile` takes; gives what was refused. */
async function whileRefusing(
  proxy: FaultProxy,
  fault: ReturnType<typeof refusal>,
  meanwhile: () => Promise<void>,
): Promise<readonly Exchange[]> {
  const { length: seen } = proxy.exchanges;
  const mend = proxy.use(always(() => true, fault));
  proxy.cutAll();
  await meanwhile();
  mend();
  return proxy.exchanges.slice(seen);
}

describe.concurrent('half a minute of errors', () => {
  it('ends no traffic, is no reason to hurry, and leaves nothing undone', async () => {
    const { proxy, kubeconfigPath } = await proxyApiServer(cluster.plane);
    const lease = ['--leader-elect', 'true', '--leader-elect-name', 'half-a-minute'];
    const flags = ['--kubeconfig', kubeconfigPath, '--proxy-addresses', newPool(), ...lease];
    const controller = await startController(cluster, { flags });
    const namespace = await cluster.namespace('faults');
    await namespace.create('before');
    await namespace.create('leaving');
    const [address = ''] = addresses(await namespace.untilProgrammed('before'));
    await namespace.untilProgrammed('leaving');
    const refused = await whileRefusing(proxy, refusal(500), async () => {
      await namespace.create('meanwhile');
      await namespace.delete('leaving');
      await stays(async () => expect(await openAt(address)).toEqual(['80/TCP']), 30_000);
    });
    expect(refused.length).toBeGreaterThan(10);
    // The Lease is asked for every two seconds; the rest waits longer and longer.
    expect(refused.length).toBeLessThan(75);
    await namespace.until('meanwhile', 'Programmed to be True', isProgrammed, 60_000);
    await namespace.untilGone('leaving');
    expect(addresses(await namespace.get('before'))).toEqual([address]);
    expect(await openAt(address)).toEqual(['80/TCP']);
    for (const name of ['before', 'meanwhile']) await namespace.delete(name);
    for (const name of ['before', 'meanwhile']) await namespace.untilGone(name);
    expect(await controller.terminate()).toEqual({ code: 0, signal: null });
    await proxy.close();
  });
});

describe.concurrent('a server that asks for patience', () => {
  it('is asked again no sooner than it said', async () => {
    await using replica = await startReplica(cluster);
    const { proxy } = replica;
    await replica.createServed('before');
    const names = Array.from({ length: 8 }, (_, index) => `web-${index}`);
    for (const name of names) await replica.create(name);
    const refused = await whileRefusing(proxy, refusal(429, { retryAfterSeconds: 2 }), async () => {
      for (const name of names) await replica.namespace.patch(name, { metadata: { annotations: { touched: 'yes' } } });
      await sleep(5_500);
    });
    const byTarget = Map.groupBy(refused, ({ method, path }) => `${method} ${path.split('?')[0]}`);
    const pauses = [...byTarget.values()].flatMap((all) =>
      all.slice(1).map(({ at }, index) => at - (all[index]?.at ?? 0)),
    );
    expect(pauses.length).toBeGreaterThan(0);
    // A timer may fire a little early by this clock.
    expect(Math.min(...pauses)).toBeGreaterThan(1_990);
    expect(await replica.settle('before', ...names)).toEqual([]);
  });
});

/** Characters of two, three and four bytes, as a user may write them. */
const TEXT = 'grüße – 🚢';

describe.concurrent('a watch that breaks off', () => {
  it.each([{ how: 'reset' }, { how: 'end' }] as const)('by $how, at any byte', async ({ how }) => {
    await using replica = await startReplica(cluster);
    const places: readonly Pick<Cut, 'from' | 'afterBytes'>[] = [
      { from: '"name":"cut-0"', afterBytes: 0 },
      { from: '"name":"cut-1', afterBytes: 0 },
      { from: '"note-2":"gr', afterBytes: 1 },
      { from: '"note-3":"grüße ', afterBytes: 2 },
      { from: '"note-4":"grüße – ', afterBytes: 3 },
      { from: '"note-5":"', afterBytes: 0 },
    ];
    const cuts = places.map((place): Cut => ({ kind: 'cut', how, ...place }));
    let made = 0;
    replica.proxy.use((exchange) => (watchOf('services')(exchange) ? cuts[made++] : undefined));
    for (const index of cuts.keys()) {
      await replica.until('the next watch', () => made > index);
      await replica.create(`cut-${index}`, { annotations: { [`note-${index}`]: TEXT } });
      await replica.untilServed(`cut-${index}`);
    }
    expect(await replica.settle(...cuts.map((_, index) => `cut-${index}`))).toEqual([]);
    expect(made).toBeGreaterThan(cuts.length);
  });
});

describe.concurrent('a version that the API server has forgotten', () => {
  const status = { kind: 'Status', status: 'Failure', code: 410, reason: 'Expired', message: 'too old' };
  it.each([
    { how: 'the answer to the watch', fault: refusal(410) },
    {
      how: 'an event of the watch',
      fault: {
        kind: 'answer',
        status: 200,
        body: `${JSON.stringify({ type: 'ERROR', object: status })}\n`,
      } as const,
    },
  ])('told by $how', async ({ fault }) => {
    await using replica = await startReplica(cluster);
    await replica.createServed('before');
    const written = replica.proxy.exchanges.filter(isWrite).length;
    replica.proxy.use(firstTimes(3, ({ isWatch }) => isWatch, fault));
    replica.proxy.cutAll();
    await replica.until(
      'three lists',
      () => replica.proxy.exchanges.filter(({ path }) => path.endsWith('limit=500')).length >= 6,
    );
    await replica.createServed('after');
    const patched = replica.proxy.exchanges.filter(isWrite).slice(written);
    expect(
      patched.filter(({ path }) => path.includes('/before')),
      'writes about what has not changed',
    ).toEqual([]);
    expect(await replica.settle('before', 'after')).toEqual([]);
  });
});

describe.concurrent('a list that is older than what was seen', () => {
  it('takes no load balancer away', async () => {
    await using replica = await startReplica(cluster);
    await replica.createServed('old', 'gone');
    let old = '';
    replica.proxy.use(firstTimes(1, listOf('services'), { kind: 'replace', change: (body) => ((old = body), body) }));
    const relist = (): void => {
      replica.proxy.use(firstTimes(1, watchOf('services'), refusal(410)));
      replica.proxy.cutAll();
    };
    relist();
    await replica.until('the list', () => old !== '');
    await replica.createServed('young');
    await replica.namespace.delete('gone');
    await replica.namespace.untilGone('gone');
    const address = addresses(await replica.namespace.get('young'));
    let stale = 0;
    replica.proxy.use(firstTimes(1, listOf('services'), { kind: 'replace', change: () => ((stale += 1), old) }));
    relist();
    await replica.until('the stale list', () => stale > 0);
    await replica.createServed('next');
    expect(addresses(await replica.namespace.get('young'))).toEqual(address);
    expect(await replica.settle('old', 'young', 'next')).toEqual([]);
  });
});

describe.concurrent('a list', () => {
  it.each([
    { what: 'is cut', fault: { kind: 'cut', afterBytes: 100 } as const },
    { what: 'ends too early', fault: { kind: 'cut', afterBytes: 100, how: 'end' } as const },
    { what: 'is answered late', fault: { kind: 'delay', milliseconds: 700 } as const },
    { what: 'is answered 503', fault: refusal(503) },
  ])('that $what at the start delays the start only', async ({ fault }) => {
    await using first = await startReplica(cluster);
    const { proxy } = first;
    proxy.use(firstTimes(2, ({ path }) => path.includes('limit=500'), fault));
    await first.createServed('web');
    expect(await first.settle('web')).toEqual([]);
  });
});

describe.concurrent('slow answers to everything', () => {
  it('cost time only', async () => {
    await using replica = await startReplica(cluster);
    replica.proxy.use(always(() => true, { kind: 'delay', milliseconds: 150 }));
    const names = Array.from({ length: 10 }, (_, index) => `web-${index}`);
    await replica.createServed(...names);
    expect(await replica.settle(...names)).toEqual([]);
  });
});

describe.concurrent('connections that stay open while nothing comes through', () => {
  it.each([
    { end: 'come to life again', cuts: false },
    { end: 'are reset in the end', cuts: true },
  ])('and $end', async ({ cuts }) => {
    await using replica = await startReplica(cluster);
    await replica.createServed('before');
    replica.proxy.freeze();
    await replica.create('meanwhile');
    await replica.namespace.delete('before');
    await sleep(1_500);
    expect(replica.timesTaken('meanwhile').taken).toBe(0);
    if (cuts) replica.proxy.cutAll();
    replica.proxy.thaw();
    await replica.untilServed('meanwhile');
    await replica.namespace.untilGone('before');
    expect(await replica.settle('meanwhile')).toEqual([]);
  });
});
