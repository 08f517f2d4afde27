/** What becomes of Services when the controller's writes to the API server go wrong. */
import { describe, expect, it, vi } from 'vitest';
import type { Lease } from '#src/kube/wire';
import { isWrite, patchOfService, refusal } from '#test/chaos/api-server';
import { always, firstTimes, type Exchange, type Match } from '#test/chaos/fault-proxy';
import { nodePorts, useCluster } from '../service/cluster.ts';
import { startReplica, type Replica } from './replica.ts';

// Many run at once.
vi.setConfig({ testTimeout: 180_000 });

const cluster = useCluster();

const WITHOUT_NODE_PORTS = { spec: { allocateLoadBalancerNodePorts: false } };

/** The body of a request holds the text. */
function saying(text: string, match: Match = isWrite): Match {
  return (exchange) => match(exchange) && exchange.body.includes(text);
}

function eventPosts({ method, path }: Exchange): boolean {
  return method === 'POST' && path.endsWith('/events');
}

/** Runs once for each kind of write to a Service named `web`. */
const WRITES: readonly {
  readonly what: string;
  readonly isMeant: (replica: Replica) => Match;
}[] = [
  {
    what: 'the finalizer',
    isMeant: (replica) => saying('"finalizers":["', patchOfService(replica.nameOf('web'), 'status')),
  },
  {
    what: 'the NodePorts',
    isMeant: (replica) => saying('"nodePort":', patchOfService(replica.nameOf('web'), 'object')),
  },
  {
    what: 'the address',
    isMeant: (replica) => saying('"ingress":[', patchOfService(replica.nameOf('web'), 'status')),
  },
  {
    what: 'the end of the finalizer',
    isMeant: (replica) => saying('"finalizers":null', patchOfService(replica.nameOf('web'), 'status')),
  },
  { what: 'an event', isMeant: () => eventPosts },
];

describe.concurrent('the answer to a write that was carried out is lost:', () => {
  it.each(WRITES)('$what', async ({ what, isMeant }) => {
    await using replica = await startReplica(cluster);
    let lost = 0;
    const isTheOne = isMeant(replica);
    replica.proxy.use(firstTimes(2, isTheOne, { kind: 'lose-response' }));
    replica.proxy.after((exchange) => {
      if (isTheOne(exchange)) lost += 1;
    });
    await replica.create('web', what === 'the NodePorts' ? WITHOUT_NODE_PORTS : {});
    await replica.create('other');
    expect(nodePorts(await replica.untilServed('web'))).not.toContain(0);
    expect(await replica.settle('web', 'other')).toEqual([]);
    expect(lost).toBeGreaterThan(0);
  });

  it('a creation and a renewal of the Lease', async () => {
    const name = 'lost-answers';
    const flags = { 'leader-elect': 'true', 'leader-elect-name': name, 'leader-elect-retry-period': '300ms' };
    await using replica = await startReplica(cluster, { flags });
    const isLease: Match = ({ path }) => path.includes(`/leases`);
    for (const method of ['POST', 'PUT']) {
      replica.proxy.use(firstTimes(1, (each) => isLease(each) && each.method === method, { kind: 'lose-response' }));
    }
    await replica.createServed('web');
    const renewals = (): readonly Exchange[] => replica.proxy.exchanges.filter(({ method }) => method === 'PUT');
    const seen = renewals().length;
    await replica.until('it to go on renewing', () => renewals().length > seen + 3);
    const path = `/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/${name}`;
    const lease = await cluster.plane.request<Lease>('GET', path);
    expect(lease.spec?.leaseTransitions ?? 0).toBe(0);
    expect(await replica.settle('web')).toEqual([]);
  });
});

describe.concurrent('the writes of one Service fail, and the others do not wait:', () => {
  it.each([
    { what: '500', fault: refusal(500) },
    { what: '429 with Retry-After', fault: refusal(429, { retryAfterSeconds: 1 }) },
    { what: 'no answer', fault: { kind: 'hang' } as const },
    { what: 'a late answer', fault: { kind: 'delay', milliseconds: 3_000 } as const },
    { what: 'a reset', fault: { kind: 'cut', afterBytes: 0 } as const },
  ])('$what', async ({ fault }) => {
    await using replica = await startReplica(cluster);
    const ofWeb: Match = ({ method, path }) => method === 'PATCH' && path.includes(`/services/web/`);
    const mend = replica.proxy.use(always(ofWeb, fault));
    await replica.create('web');
    await replica.until('the first write of it', () => replica.proxy.exchanges.some(ofWeb));
    const names = Array.from({ length: 5 }, (_, index) => `other-${index}`);
    await replica.createServed(...names);
    mend();
    replica.proxy.release();
    expect(await replica.settle('web', ...names)).toEqual([]);
  });
});

describe.concurrent('the writes of more Services than there are workers get no answer', () => {
  it('and the others do not wait for them', async () => {
    await using replica = await startReplica(cluster, { flags: { workers: '2' } });
    const { proxy, namespace } = replica;
    const hanging = ['hangs-0', 'hangs-1', 'hangs-2', 'hangs-3'];
    const isHanging: Match = ({ method, path }) => method === 'PATCH' && path.includes('/services/hangs-');
    const mend = proxy.use(always(isHanging, { kind: 'hang' }));
    for (const name of hanging) await replica.create(name);
    await replica.until('all workers to wait', () => proxy.exchanges.filter(isHanging).length >= 2);
    await replica.createServed('healthy');
    const answered = proxy.exchanges.filter((each) => isHanging(each) && each.status !== undefined);
    expect(answered).toEqual([]);
    expect((await namespace.get('hangs-0')).metadata.finalizers).toBeUndefined();
    mend();
    proxy.release();
    expect(await replica.settle(...hanging, 'healthy')).toEqual([]);
  });
});

describe('an API server that is killed with a write in its hands', () => {
  it.each([
    { moment: 'before it knows of it', hook: 'before' },
    { moment: 'after it has carried it out', hook: 'after' },
  ] as const)('$moment, and comes back with its data', async ({ hook }) => {
    await using replica = await startReplica(cluster);
    await replica.createServed('before');
    const killed = Promise.withResolvers<void>();
    const isTheOne = saying('"ingress":[', patchOfService(replica.nameOf('web'), 'status'));
    const forget = replica.proxy[hook](async (exchange) => {
      if (!isTheOne(exchange)) return;
      forget();
      await cluster.plane.killApiServer();
      killed.resolve();
    });
    await replica.create('web');
    await killed.promise;
    await cluster.plane.restartApiServer();
    await replica.createServed('after');
    expect(await replica.settle('before', 'web', 'after')).toEqual([]);
  });
});
