import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { LeaderElector, type LeaderElectorOptions } from '#src/kube/leaderelection';
import { leaseApi } from '#src/kube/leaseapi';
import { LEASES } from '#src/kube/resources';
import type { Lease } from '#src/kube/wire';
import { silentLog } from '#test/fakes/log';
import { startControlPlane, type ControlPlane } from '../../control-plane/control-plane.ts';
import { connect, type Connection } from './connection.ts';

// Two renewals on an API server that hangs for a moment; several Leases run out in the tests.
vi.setConfig({ testTimeout: 180_000 });

const TIMES = { leaseDurationMs: 8_000, renewDeadlineMs: 6_000, retryPeriodMs: 300 } as const;
const { signal } = new AbortController();
const namespace = 'kube-system';

let plane: ControlPlane;
let kube: Connection;
let tests = 0;
const running: Process[] = [];

beforeAll(async () => {
  plane = await startControlPlane();
  kube = await connect(plane);
});
afterEach(async () => {
  for (const { stop, connection, ended } of running.splice(0)) {
    stop.abort();
    await ended;
    await connection.client.close();
  }
});
afterAll(async () => {
  await kube.client.close();
  await plane.stop();
});

interface Process {
  readonly elector: LeaderElector;
  readonly connection: Connection;
  readonly stop: AbortController;
  /** Resolves with the error of `run`, or undefined. */
  readonly ended: Promise<unknown>;
}

/** A process with its own connections, as the controller has it. */
async function begin(name: string, identity: string, more: Partial<LeaderElectorOptions> = {}): Promise<Process> {
  const connection = await connect(plane);
  const lease = leaseApi(connection.client, { namespace, name });
  const { metrics } = connection;
  const elector = new LeaderElector({ lease, identity, log: silentLog, metrics, ...TIMES, ...more });
  const stop = new AbortController();
  const ended = elector.run(stop.signal).then(
    () => undefined,
    (error: unknown) => error,
  );
  const process = { elector, connection, stop, ended };
  running.push(process);
  return process;
}

function newLease(): string {
  return `lease-${(tests += 1)}`;
}

function read(name: string): Promise<Lease> {
  return kube.client.get(LEASES, { namespace, name }, { signal });
}

describe('leader election on a real API server', () => {
  it('has one leader, who hands over at once when it ends', async () => {
    const name = newLease();
    const a = await begin(name, 'a');
    await a.elector.acquired;
    const b = await begin(name, 'b');
    await new Promise((resolve) => setTimeout(resolve, 1.5 * TIMES.leaseDurationMs));
    expect([a.elector.isLeader, b.elector.isLeader]).toEqual([true, false]);
    expect((await read(name)).spec).toMatchObject({
      holderIdentity: 'a',
      leaseDurationSeconds: TIMES.leaseDurationMs / 1_000,
      leaseTransitions: 0,
    });

    const releasedAt = performance.now();
    a.stop.abort();
    expect(await a.ended).toBeUndefined();
    await b.elector.acquired;
    expect(performance.now() - releasedAt).toBeLessThan(TIMES.leaseDurationMs);
    expect((await read(name)).spec).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
    expect(() => a.elector.fence()).toThrow(expect.objectContaining({ code: 'NotLeader' }));
    expect(() => b.elector.fence()).not.toThrow();
  });

  it('has a new leader after one that vanished, when its Lease has run out', async () => {
    const name = newLease();
    const a = await begin(name, 'a');
    await a.elector.acquired;
    const b = await begin(name, 'b');
    // No request of it arrives any more, as after a crash or a cut cable.
    await a.connection.client.close();
    const vanishedAt = performance.now();
    expect(await a.ended).toMatchObject({ code: 'NotLeader' });
    expect(b.elector.isLeader).toBe(false);
    await b.elector.acquired;
    expect(performance.now() - vanishedAt).toBeGreaterThan(TIMES.leaseDurationMs - TIMES.retryPeriodMs);
    expect((await read(name)).spec).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
  });

  it('has no leader while the API server hangs, and one again afterwards', async () => {
    const name = newLease();
    const a = await begin(name, 'a');
    await a.elector.acquired;
    const b = await begin(name, 'b');
    plane.pauseApiServer();
    try {
      expect(await a.ended).toMatchObject({ code: 'NotLeader' });
      await new Promise((resolve) => setTimeout(resolve, TIMES.leaseDurationMs));
      expect([a.elector.isLeader, b.elector.isLeader]).toEqual([false, false]);
    } finally {
      plane.resumeApiServer();
    }
    await b.elector.acquired;
    expect((await read(name)).spec?.holderIdentity).toBe('b');
  });

  it('keeps its leader over a restart of the API server that is quick enough', async () => {
    const name = newLease();
    const times = { leaseDurationMs: 30_000, renewDeadlineMs: 20_000 };
    const a = await begin(name, 'a', times);
    const b = await begin(name, 'b', times);
    await Promise.race([a.elector.acquired, b.elector.acquired]);
    const [leader, follower] = a.elector.isLeader ? [a, b] : [b, a];
    const before = await read(name);
    await plane.restartApiServer();
    await expect
      .poll(async () => (await read(name)).spec?.renewTime, { timeout: 60_000 })
      .not.toBe(before.spec?.renewTime);
    expect([leader.elector.isLeader, follower.elector.isLeader]).toEqual([true, false]);
    expect((await read(name)).spec?.leaseTransitions).toBe(0);
  });
});
