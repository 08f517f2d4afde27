import { describe, expect, it } from 'vitest';
import { HealthChecker } from '#providers/proxy/health';
import { NodeViews } from '#providers/proxy/node-view';
import { Selector } from '#providers/proxy/selector';
import { TargetGroup } from '#providers/proxy/target-group';
import { targetsOf, type Targets } from '#providers/proxy/targets';
import type { ListenerSpec } from '#providers/proxy/listener-spec';
import { manyNodes, member } from '#test/fakes/builders';
import { FakeClock } from '#test/fakes/clock';

interface Rig {
  readonly clock: FakeClock;
  readonly checker: HealthChecker;
  readonly views: NodeViews;
  /** Hosts and ports in the order in which they were asked. */
  readonly asked: string[];
}

function rig(): Rig {
  const clock = new FakeClock();
  const asked: string[] = [];
  const checker = new HealthChecker(
    { intervalMs: 3_000, timeoutMs: 1_000, thresholds: { healthy: 1, unhealthy: 2 } },
    {
      clock,
      onChange: () => {},
      onGone: () => {},
      async probe(host, port) {
        asked.push(`${host}:${port}`);
        return 'yes';
      },
    },
  );
  checker.start(new AbortController().signal);
  return { clock, checker, views: new NodeViews(checker, 10_256), asked };
}

const cluster = (count: number): Targets => targetsOf(member(), manyNodes(count));
const local = (...endpointNodes: readonly string[]): Targets =>
  targetsOf(member({ trafficPolicy: 'Local', healthCheckNodePort: 32_000, endpointNodes }), manyNodes(3));

describe('targets', () => {
  it('are watched as long as anybody has them, once for all who have the same', async () => {
    const { checker, views } = rig();
    const [a, b] = [new TargetGroup('a', cluster(3), views), new TargetGroup('b', cluster(3), views)];
    expect(a.view).toBe(b.view);
    expect(checker.size).toBe(3);
    a.set(cluster(2));
    expect(checker.size).toBe(3);
    b.set(cluster(2));
    expect(checker.size).toBe(2);
    a.close();
    expect(checker.size).toBe(2);
    b.close();
    expect(checker.size).toBe(0);
  });

  it('keep what is known of the nodes that stay', async () => {
    const { clock, views } = rig();
    const group = new TargetGroup('a', cluster(3), views);
    await clock.advance(0);
    expect(group.set(cluster(4))).toEqual({ left: [], joined: ['node-4'] });
    expect(group.view.tiers()).toMatchObject({
      healthy: [{ name: 'node-1' }, { name: 'node-2' }, { name: 'node-3' }],
      unchecked: [{ name: 'node-4' }],
    });
    expect(group.set(cluster(1))).toEqual({ left: ['node-2', 'node-3', 'node-4'], joined: [] });
  });

  it('with the policy Local are asked on the healthCheckNodePort, and again whenever endpoints change', async () => {
    const { clock, views, asked } = rig();
    const group = new TargetGroup('a', local('node-1'), views);
    await clock.advance(0);
    expect(asked).toEqual(['10.0.0.1:32000']);
    expect(group.set(local('node-1', 'node-3'))).toEqual({ left: [], joined: ['node-3'] });
    await clock.advance(0);
    expect(asked.slice(1).toSorted()).toEqual(['10.0.0.1:32000', '10.0.0.3:32000']);
    expect(group.observe()).toMatchObject({ usable: ['node-1', 'node-3'], health: 'healthy' });
    expect(group.set(local())).toEqual({ left: ['node-1', 'node-3'], joined: [] });
    expect(group.observe().health).toBe('none');
  });

  it('count as healthy where no checks are made', () => {
    const { checker } = rig();
    const group = new TargetGroup('a', cluster(2), new NodeViews(checker, 0));
    expect(checker.size).toBe(0);
    expect(group.observe().health).toBe('healthy');
  });
});

describe('a selector', () => {
  const spec = (affinityMs?: number): ListenerSpec => ({
    address: '192.0.2.1',
    family: 'IPv4',
    port: 80,
    protocol: 'TCP',
    member: 'a',
    nodePort: 30_080,
    settings: {
      algorithm: 'round-robin',
      proxyProtocol: false,
      idleTimeoutMs: 1_000,
      maxConnections: undefined,
      drainTimeoutMs: 0,
      affinityMs,
      sourceRanges: [],
    },
  });

  it('forgets which node a client had when the Service no longer wants that', () => {
    const { clock, views } = rig();
    const group = new TargetGroup('a', cluster(3), views);
    const selector = new Selector(spec(60_000), group, { after: 3, forMs: 1_000 }, clock, 0);
    const next = (): string | undefined => selector.next('192.0.2.9', new Set())?.node;
    expect([next(), next()]).toEqual(['node-1', 'node-1']);
    selector.set(spec(), group);
    selector.set(spec(60_000), group);
    expect([next(), next()]).toEqual(['node-3', 'node-3']);
  });

  it('asks a node again at once when its connections fail', async () => {
    const { clock, views, asked } = rig();
    const group = new TargetGroup('a', cluster(1), views);
    const selector = new Selector(spec(), group, { after: 2, forMs: 1_000 }, clock, 0);
    await clock.advance(0);
    selector.failed('node-1');
    await clock.advance(0);
    expect(asked).toHaveLength(1);
    selector.failed('node-1');
    await clock.advance(0);
    expect(asked).toHaveLength(2);
  });

  it('counts open connections for the least busy node', () => {
    const { clock, views } = rig();
    const group = new TargetGroup('a', cluster(2), views);
    const least = { ...spec(), settings: { ...spec().settings, algorithm: 'least-connections' as const } };
    const selector = new Selector(least, group, { after: 2, forMs: 1_000 }, clock, 0);
    selector.opened('node-1');
    selector.opened('node-1');
    selector.opened('node-2');
    expect(selector.next('192.0.2.9', new Set())?.node).toBe('node-2');
    selector.closed('node-1');
    selector.closed('node-1');
    expect(selector.next('192.0.2.9', new Set())?.node).toBe('node-1');
  });
});
