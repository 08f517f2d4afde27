/** Load on the proxy provider's addresses while pods and nodes come, go and die. */
import { setTimeout as delay } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { type RunningBallast, startBallast } from '#test/lab/ballast';
import { connectFailures, describeLoad, fetchOnce, Load, type LoadSummary } from '#test/lab/traffic';
import { waitFor } from '#test/lab/wait';
import { createService, type LabService } from './service.ts';
import { metric, nodesOfPods, restartPods, scale, spread, useLab } from './support.ts';

/** Seconds after which the cluster gives up a silent node; kubelet speaks every ten. */
const GRACE_SECONDS = 16;
const RATE = 100;
/** Longer than three attempts of the proxy, so that only what it gave up counts as lost. */
const PATIENCE_MS = 10_000;

const world = useLab({
  machines: [{ name: 'edge' }, { name: 'client' }],
  nodeMonitorGracePeriodSeconds: GRACE_SECONDS,
});
let ballast: RunningBallast;
/** For pods that end at once, and for pods that serve on for three seconds when they are told to end. */
let abrupt: LabService;
let graceful: LabService;
/** As `graceful`, with `externalTrafficPolicy: Local`. */
let local: LabService;

beforeAll(async () => {
  const { lab } = world;
  ballast = await startBallast(lab, world.machine('edge'));
  await Promise.all([
    lab.deployNetexec({ name: 'abrupt', replicas: 3 }),
    lab.deployNetexec({ name: 'graceful', replicas: 3, shutdownDelaySeconds: 3 }),
  ]);
  abrupt = await createService(lab, 'abrupt', 'abrupt');
  graceful = await createService(lab, 'graceful', 'graceful');
  local = await createService(lab, 'local', 'graceful', { spec: { externalTrafficPolicy: 'Local' } });
});

interface Measured {
  readonly summary: LoadSummary;
  /** Connections that were tried on another node, because the first failed before its first byte. */
  readonly retried: number;
  /** Connections that no node could be found for: what was lost although not a byte of it had been passed on. */
  readonly givenUp: number;
}

/** Runs load on the Service's address beside `act`, from a second before it to a second after it, and reports it. */
async function underLoad(what: string, service: LabService, act: () => Promise<void>): Promise<Measured> {
  const finish = await startLoad(what, service);
  await delay(1_000);
  await act();
  await delay(1_000);
  return finish();
}

/** Starts load on the Service's address; what it returns ends the load and reports what was seen. */
async function startLoad(what: string, service: LabService): Promise<() => Promise<Measured>> {
  const url = `http://${await service.address()}/hostname`;
  const client = world.machine('client');
  await waitFor({ what: `${service.name} to answer`, timeoutMs: 30_000, check: () => fetchOnce(client, url) });
  const labels = { load_balancer: `service/default/${service.name}` };
  const counts = async (): Promise<readonly [number, number]> => [
    await metric(ballast, 'ballast_proxy_retries_total', labels),
    await metric(ballast, 'ballast_proxy_connections_total', { ...labels, result: 'no-target' }),
  ];
  const [retriedBefore, givenUpBefore] = await counts();
  const load = await Load.start(client, { url, rate: RATE, seconds: 120, timeoutMs: PATIENCE_MS });
  return async () => {
    const summary = await load.finish();
    const [retriedAfter, givenUpAfter] = await counts();
    const [retried, givenUp] = [retriedAfter - retriedBefore, givenUpAfter - givenUpBefore];
    world.report(`${what}: ${describeLoad(summary)}; ${retried} retries, ${givenUp} connections given up`);
    return { summary, retried, givenUp };
  };
}

/** Nothing is lost that a retry before the first byte could save: what is lost had reached a pod or a node that died. */
function expectOnlyBrokenConnections({ summary, givenUp }: Measured, atMost: number): void {
  expect(connectFailures(summary), 'connections that the proxy did not take').toBe(0);
  expect(givenUp, 'connections that no target was found for').toBe(0);
  expect(summary.sent - summary.succeeded, 'connections that broke with their pod or node').toBeLessThanOrEqual(atMost);
}

/** Waits until the node passes its health check for `local`; that of kube-proxy alone passes before its pods do. */
async function untilHealthy(node: string): Promise<void> {
  const port = String((await local.get()).spec?.healthCheckNodePort);
  await waitFor({
    what: `the proxy to see ${node} healthy`,
    timeoutMs: 45_000,
    check: async () => ((await metric(ballast, 'ballast_proxy_target_healthy', { node, port })) > 0 ? true : undefined),
  });
}

describe('traffic through the proxy', () => {
  it('loses only requests that a pod held when it ended, while pods that end at once are replaced', async () => {
    const measured = await underLoad('rolling restart, pods end at once', abrupt, () =>
      restartPods(world.lab, 'abrupt'),
    );
    // A request takes some milliseconds, so of 100 a second hardly one is at a pod when it ends.
    expectOnlyBrokenConnections(measured, 5);
    expect(Object.keys(measured.summary.bodies).length, 'old and new pods').toBeGreaterThanOrEqual(4);
  });

  it('loses nothing while pods that serve on for three seconds are replaced', async () => {
    const cluster = await startLoad('rolling restart, pods serve on for 3 s, Cluster', graceful);
    const measuredLocal = await underLoad('rolling restart, pods serve on for 3 s, Local', local, () =>
      restartPods(world.lab, 'graceful'),
    );
    for (const measured of [measuredLocal, await cluster()]) {
      expectOnlyBrokenConnections(measured, 0);
      expect(Object.keys(measured.summary.bodies).length, 'old and new pods').toBeGreaterThanOrEqual(4);
    }
  });

  it('follows the pods from 3 to 5 to 1 to none to 1', async () => {
    const { lab } = world;
    const url = `http://${await graceful.address()}/hostname`;
    const client = world.machine('client');
    const measured = await underLoad('scaling 3, 5, 1', graceful, async () => {
      await scale(lab, 'graceful', 5);
      await delay(1_000);
      await scale(lab, 'graceful', 1);
    });
    expectOnlyBrokenConnections(measured, 0);
    expect(Object.keys(measured.summary.bodies)).toHaveLength(5);

    await scale(lab, 'graceful', 0);
    await waitFor({
      what: 'nobody to answer, with no pod left',
      timeoutMs: 30_000,
      check: async () => ((await Load.run(client, { url, count: 5 })).succeeded === 0 ? true : undefined),
    });
    await scale(lab, 'graceful', 1);
    const [pod] = (await nodesOfPods(lab, 'graceful')).keys();
    const answer = await waitFor({
      what: 'the one pod to answer',
      timeoutMs: 30_000,
      check: () => fetchOnce(client, url),
    });
    expect(answer).toBe(pod);
  });

  it('loses nothing when a node is drained, deleted and switched off, and uses one that joins', async () => {
    const { lab } = world;
    await spread(lab, 'graceful', 3);
    expect([...(await nodesOfPods(lab, 'graceful')).values()]).toContain('n3');
    const measured = await underLoad('node drained, deleted, switched off', graceful, async () => {
      await lab.node('n3').drain();
      await lab.request('DELETE', '/api/v1/nodes/n3');
      await delay(1_000);
      await lab.node('n3').remove();
    });
    expectOnlyBrokenConnections(measured, 0);

    const joined = await underLoad('node joins', graceful, async () => {
      const { name } = await lab.addNode();
      expect(name).toBe('n3');
    });
    expectOnlyBrokenConnections(joined, 0);
    await waitFor({
      what: 'connections to n3',
      timeoutMs: 30_000,
      check: async () => {
        await Load.run(world.machine('client'), { url: `http://${await graceful.address()}/hostname`, count: 10 });
        const labels = { load_balancer: 'service/default/graceful', node: 'n3', result: 'reached' };
        return (await metric(ballast, 'ballast_proxy_target_connections_total', labels)) > 0 ? true : undefined;
      },
    });
  });

  it('goes on when a node is cut off, and uses it again when it is back', async () => {
    const { lab } = world;
    await spread(lab, 'graceful', 3);
    const pod = [...(await nodesOfPods(lab, 'graceful'))].find(([, node]) => node === 'n2')?.[0] ?? '';
    expect(pod).not.toBe('');
    for (const node of new Set((await nodesOfPods(lab, 'graceful')).values())) await untilHealthy(node);
    const calm = await underLoad('nothing happens, Local', local, () => delay(3_000));
    const measured = await underLoad('node cut off, Local', local, async () => {
      await lab.node('n2').cutOff();
      await delay(8_000);
    });
    // Requests that n2 or its pod had already taken stay without an answer.
    expectOnlyBrokenConnections(measured, 3);
    // The machine makes pauses of its own.
    const longestGap = calm.summary.longestGapMs + 3_000;
    expect(measured.summary.longestGapMs, 'longest time without an answer').toBeLessThan(longestGap);
    expect(measured.summary.latencyMs.max, 'time that a retry costs').toBeLessThan(PATIENCE_MS);

    const healed = await underLoad('node back', local, async () => {
      await lab.node('n2').heal();
      await untilHealthy('n2');
      await delay(1_000);
    });
    expectOnlyBrokenConnections(healed, 0);
    expect(healed.summary.bodies[pod], 'answers of the pod on n2').toBeGreaterThan(0);
  });

  it('goes on when a node crashes, also where other nodes still forward to its pods', async () => {
    const { lab } = world;
    const cluster = await startLoad('node crashes, Cluster', graceful);
    const measuredLocal = await underLoad('node crashes, Local', local, async () => {
      await lab.node('n2').crash();
      await delay((GRACE_SECONDS + 6) * 1_000);
    });
    expectOnlyBrokenConnections(measuredLocal, 3);
    expect(measuredLocal.retried, 'connections that were tried on n2 in vain').toBeGreaterThan(0);

    // With Cluster, kube-proxy of a living node forwards to the dead pod until the cluster has noticed.
    const { summary } = await cluster();
    expect(connectFailures(summary)).toBe(0);
    expect(summary.longestGapMs, 'longest time without an answer').toBeLessThan(8_000);
    expect(summary.succeeded / summary.sent, 'share that succeeded').toBeGreaterThan(0.95);
    const afterwards = await underLoad('after the cluster noticed the crash, Cluster', graceful, () => delay(1_000));
    expectOnlyBrokenConnections(afterwards, 0);
  });
});
