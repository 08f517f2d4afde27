import { Registry } from 'prom-client';
import { beforeEach, describe, expect, it } from 'vitest';
import { electorIdentity, LeaderElector, type LeaderElectorOptions } from '#src/kube/leaderelection';
import type { LeaseApi } from '#src/kube/leaseapi';
import { registerKubeMetrics, type KubeMetrics } from '#src/kube/metrics';
import { FakeClock, settle } from '#test/fakes/clock';
import { captureLog, silentLog } from '#test/fakes/log';
import { MemoryLeases, NO_TROUBLE, unavailable, type Trouble } from './memory-lease.ts';
import { apiError } from './scripted-api.ts';

let clock: FakeClock;
let leases: MemoryLeases;
let registry: Registry;
let metrics: KubeMetrics;

beforeEach(() => {
  clock = new FakeClock(5_000);
  leases = new MemoryLeases();
  registry = new Registry();
  metrics = registerKubeMetrics(registry);
});

interface Process {
  readonly elector: LeaderElector;
  readonly stop: AbortController;
  /** How `run` ended: undefined while it runs. */
  outcome: 'stopped' | { readonly error: unknown } | undefined;
}

function begin(identity: string, more: Partial<LeaderElectorOptions> = {}): Process {
  const lease = leases.api(clock);
  const date = (): Date => new Date(Date.UTC(2026, 0) + clock.now());
  const defaults = { lease, identity, log: silentLog, metrics, clock, date, random: () => 0 };
  const elector = new LeaderElector({ ...defaults, ...more });
  const process: Process = { elector, stop: new AbortController(), outcome: undefined };
  elector.run(process.stop.signal).then(
    () => (process.outcome = 'stopped'),
    (error: unknown) => (process.outcome = { error }),
  );
  return process;
}

/** The Lease's API with some methods replaced. */
function faulty(changes: Partial<LeaseApi>): LeaseApi {
  return { ...leases.api(clock), ...changes };
}

function brokenWatch(): AsyncIterable<unknown> {
  return { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(unavailable()) }) };
}

async function leads({ elector }: Process): Promise<boolean> {
  return Promise.race([elector.acquired.then(() => true), settle().then(() => false)]);
}

describe('acquiring', () => {
  it('creates the Lease when there is none', async () => {
    const a = begin('a');
    expect(await leads(a)).toBe(true);
    expect(a.elector.isLeader).toBe(true);
    expect(leases.lease?.spec).toEqual({
      holderIdentity: 'a',
      leaseDurationSeconds: 15,
      acquireTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/),
      renewTime: leases.lease?.spec?.acquireTime,
      leaseTransitions: 0,
    });
  });

  it('waits as long as a holder seems alive, by its own observation', async () => {
    const a = begin('a');
    await settle();
    const b = begin('b');
    await clock.advance(300_000);
    expect([a.elector.isLeader, b.elector.isLeader]).toEqual([true, false]);
    expect(leases.lease?.spec?.holderIdentity).toBe('a');
  });

  it('takes a Lease that was not renewed for its duration after the first look', async () => {
    const spec = { holderIdentity: 'dead', leaseDurationSeconds: 15, renewTime: '1999-01-01T00:00:00.000000Z' };
    leases.create({ ...spec, acquireTime: '1999-01-01T00:00:00.000000Z', leaseTransitions: 3 });
    const b = begin('b');
    await clock.advance(14_000);
    expect(b.elector.isLeader).toBe(false);
    await clock.advance(2_000);
    expect(b.elector.isLeader).toBe(true);
    expect(leases.lease?.spec).toMatchObject({ holderIdentity: 'b', leaseTransitions: 4 });
    expect(leases.lease?.spec?.acquireTime).not.toContain('1999');
  });

  it('takes it in the moment in which it runs out, not at the next look after', async () => {
    const a = begin('a', { lease: faulty({ update: () => Promise.reject(unavailable()) }) });
    await settle();
    // Its looks would be at 0, 4.4, 8.8, 13.2 and 17.6 s.
    const b = begin('b', { random: () => 1 });
    await clock.advance(14_999);
    expect(b.elector.isLeader).toBe(false);
    await clock.advance(1);
    expect([a.elector.isLeader, b.elector.isLeader]).toEqual([false, true]);
  });

  it('looks once more at a holder that it could not see for a while: it could not renew either', async () => {
    leases.create({ holderIdentity: 'other', leaseDurationSeconds: 15 });
    let isDown = false;
    const api = leases.api(clock);
    const read: LeaseApi['read'] = (signal) => (isDown ? Promise.reject(unavailable()) : api.read(signal));
    const b = begin('b', { lease: faulty({ read }) });
    await settle();
    isDown = true;
    await clock.advance(59_000);
    isDown = false;
    await clock.advance(2_000);
    expect(b.elector.isLeader).toBe(false);
    await clock.advance(2_000);
    expect(b.elector.isLeader).toBe(true);
  });

  it("waits for the duration that the holder wrote, not for one's own", async () => {
    leases.create({ holderIdentity: 'other', leaseDurationSeconds: 60 });
    const b = begin('b');
    await clock.advance(59_000);
    expect(b.elector.isLeader).toBe(false);
    await clock.advance(2_000);
    expect(b.elector.isLeader).toBe(true);
  });

  it('tells once, while it waits, for whom and how long', async () => {
    leases.create({ holderIdentity: 'dead', leaseDurationSeconds: 20 });
    const { log, lines } = captureLog();
    begin('b', { log });
    await clock.advance(14_000);
    const waiting = lines.filter(({ msg }) => msg.includes('is held by'));
    expect(waiting).toMatchObject([{ level: 'info', holder: 'dead', waitSeconds: 20 }]);
    expect(waiting[0]?.msg).toMatch(
      /^the Lease \S+ is held by dead; waiting up to 20 s for it to expire or to be given back, longer while it is renewed$/,
    );
  });

  it('does not say that it waits when it has the Lease or nobody has', async () => {
    leases.create({ holderIdentity: '', leaseDurationSeconds: 1 });
    const { log, lines } = captureLog();
    expect(await leads(begin('a', { log }))).toBe(true);
    await clock.advance(14_000);
    expect(lines.filter(({ msg }) => /held by|another holder/.test(msg))).toEqual([]);
  });

  it('takes a Lease that was given back at the next look', async () => {
    leases.create({ holderIdentity: '', leaseDurationSeconds: 1, leaseTransitions: 2 });
    const b = begin('b');
    expect(await leads(b)).toBe(true);
    expect(leases.lease?.spec?.leaseTransitions).toBe(3);
  });

  it('takes a Lease without a spec', async () => {
    leases.create({});
    expect(await leads(begin('b'))).toBe(true);
  });

  it('goes on trying while the API server fails, and does not lead meanwhile', async () => {
    let isDown = true;
    const api = leases.api(clock);
    const read: LeaseApi['read'] = (signal) => (isDown ? Promise.reject(unavailable()) : api.read(signal));
    const a = begin('a', { lease: faulty({ read }) });
    await clock.advance(60_000);
    expect([a.elector.isLeader, a.outcome]).toEqual([false, undefined]);
    isDown = false;
    await clock.advance(2_000);
    expect(a.elector.isLeader).toBe(true);
  });

  it('does not lead when somebody else was quicker', async () => {
    const create: LeaseApi['create'] = async (spec) => {
      leases.create({ ...spec, holderIdentity: 'quick' });
      throw apiError(409, 'AlreadyExists');
    };
    const a = begin('a', { lease: faulty({ create }) });
    await clock.advance(10_000);
    expect(a.elector.isLeader).toBe(false);
    expect(leases.log).toEqual(['create quick']);
  });

  it('leads after the answer to its first write was lost', async () => {
    let requests = 0;
    const next = (): Trouble => ({ ...NO_TROUBLE, answerLost: (requests += 1) === 2 });
    const a = begin('a', { lease: leases.api(clock, next) });
    await clock.advance(1_000);
    expect([leases.lease?.spec?.holderIdentity, a.elector.isLeader]).toEqual(['a', false]);
    await clock.advance(6_000);
    expect(a.elector.isLeader).toBe(true);
  });

  it('spreads the looks of followers between one and 2.2 retry periods', async () => {
    leases.create({ holderIdentity: 'other', leaseDurationSeconds: 1000 });
    const looks: number[] = [];
    const api = leases.api(clock);
    const read: LeaseApi['read'] = (signal) => {
      looks.push(clock.now());
      return api.read(signal);
    };
    let share = 0;
    begin('b', { lease: faulty({ read }), random: () => (share = share === 0 ? 0.5 : 0) });
    await clock.advance(6_000);
    expect(looks.map((at) => at - 5_000)).toEqual([0, 3_200, 5_200]);
  });
});

describe('leading', () => {
  it('renews every retry period, and keeps the time and count of the acquisition', async () => {
    const a = begin('a');
    await settle();
    const first = leases.lease?.spec;
    await clock.advance(8_000);
    expect(leases.log).toEqual(['create a', 'update a', 'update a', 'update a', 'update a']);
    expect(leases.lease?.spec).toMatchObject({ acquireTime: first?.acquireTime, leaseTransitions: 0 });
    expect(a.elector.isLeader).toBe(true);
  });

  it('renews without reading first, and reads when somebody wrote between', async () => {
    let reads = 0;
    const api = leases.api(clock);
    const read: LeaseApi['read'] = (signal) => {
      reads += 1;
      return api.read(signal);
    };
    const a = begin('a', { lease: faulty({ read }) });
    await clock.advance(10_000);
    expect(reads).toBe(1);
    const lease = leases.lease;
    if (lease) leases.update(lease, { ...lease.spec, strategy: 'OldestEmulationVersion' });
    await clock.advance(2_000);
    expect([reads, a.elector.isLeader]).toEqual([2, true]);
  });

  it('survives failures that are shorter than the renew deadline', async () => {
    let failures = 0;
    const api = leases.api(clock);
    const update: LeaseApi['update'] = (...args) =>
      (failures += 1) <= 3 ? Promise.reject(unavailable()) : api.update(...args);
    const a = begin('a', { lease: faulty({ update }) });
    await clock.advance(7_999);
    expect(leases.log).toEqual(['create a']);
    await clock.advance(9_000);
    expect([a.elector.isLeader, a.outcome]).toEqual([true, undefined]);
  });

  it('ends when it could not renew until the deadline', async () => {
    const a = begin('a', { lease: faulty({ update: () => Promise.reject(unavailable()) }) });
    await clock.advance(9_999);
    expect([a.elector.isLeader, a.elector.lost.aborted]).toEqual([true, false]);
    await clock.advance(1);
    expect([a.elector.isLeader, a.elector.lost.aborted]).toEqual([false, true]);
    expect(a.elector.lost.reason).toMatchObject({ code: 'NotLeader', message: expect.stringContaining('10000 ms') });
    expect(a.outcome).toEqual({ error: a.elector.lost.reason });
    expect(leases.lease?.spec?.holderIdentity).toBe('a');
    expect(clock.pending).toBe(0);
  });

  it('ends at the deadline also when a renewal hangs', async () => {
    const a = begin('a', { lease: faulty({ update: () => new Promise(() => {}) }) });
    await clock.advance(10_000);
    expect([a.elector.lost.aborted, a.outcome]).toMatchObject([true, { error: { code: 'NotLeader' } }]);
  });

  it('tries again after a renewal that hung for half of the deadline', async () => {
    let updates = 0;
    const api = leases.api(clock);
    const update: LeaseApi['update'] = (...args) =>
      (updates += 1) === 1 ? new Promise(() => {}) : api.update(...args);
    const a = begin('a', { lease: faulty({ update }) });
    await clock.advance(30_000);
    expect(a.elector.isLeader).toBe(true);
  });

  it('ends at once when another holder is seen', async () => {
    const a = begin('a');
    await settle();
    const { lease } = leases;
    if (lease) leases.update(lease, { ...lease.spec, holderIdentity: 'thief' });
    await clock.advance(2_000);
    expect(a.elector.isLeader).toBe(false);
    expect(a.outcome).toMatchObject({ error: { code: 'NotLeader', message: /held by thief/ } });
    expect(leases.lease?.spec?.holderIdentity).toBe('thief');
  });

  it('makes the Lease again when it was deleted', async () => {
    const a = begin('a');
    await settle();
    leases.delete();
    await clock.advance(2_000);
    expect([a.elector.isLeader, leases.log]).toEqual([true, ['create a', 'create a']]);
  });

  it('counts from the beginning of a renewal, not from its answer', async () => {
    let updates = 0;
    const next = (): Trouble => {
      updates += 1;
      // The create (2) and one renewal (3) work, the renewal slowly; then everything is lost.
      return { ...NO_TROUBLE, backMs: updates === 3 ? 4_000 : 0, requestLost: updates > 3 };
    };
    const a = begin('a', { lease: leases.api(clock, next) });
    await clock.advance(2_000 + 9_999);
    expect(a.elector.isLeader).toBe(true);
    await clock.advance(1);
    expect(a.elector.isLeader).toBe(false);
  });
});

describe('the fence', () => {
  it('lets a leader through and nobody else', async () => {
    const a = begin('a');
    expect(() => a.elector.fence()).toThrow(expect.objectContaining({ code: 'NotLeader' }));
    await settle();
    expect(() => a.elector.fence()).not.toThrow();
    const b = begin('b');
    await settle();
    expect(() => b.elector.fence()).toThrow('does not hold the Lease kube-system/ballast');
  });

  it('stops a process that was stopped for longer than the deadline, before any of its timers ran', async () => {
    let offset = 0;
    const stopped = { now: () => clock.now() + offset, after: clock.after.bind(clock) };
    const a = begin('a', { clock: stopped });
    await settle();
    offset = 10_001;
    expect(a.elector.isLeader).toBe(false);
    expect(() => a.elector.fence()).toThrow(expect.objectContaining({ code: 'NotLeader' }));
    expect(a.elector.lost.aborted).toBe(true);
    await settle();
    expect(a.outcome).toMatchObject({ error: { code: 'NotLeader' } });
  });

  it('does not open for an answer that a stopped process finds when it wakes, but for the next one', async () => {
    let offset = 0;
    const stopped = { now: () => clock.now() + offset, after: clock.after.bind(clock) };
    const create: LeaseApi['create'] = async (spec) => {
      offset = 20_000;
      return leases.create(spec);
    };
    const a = begin('a', { clock: stopped, lease: faulty({ create }) });
    expect([await leads(a), a.elector.isLeader, a.outcome]).toEqual([false, false, undefined]);
    await clock.advance(2_000);
    expect([await leads(a), a.elector.isLeader]).toEqual([true, true]);
  });
});

describe('a leader that may outlive its Lease', () => {
  let isDown: boolean;
  /** How often it led again. */
  let resumes: number;
  const away: LeaseApi = {
    key: 'kube-system/ballast',
    read: (signal) => (isDown ? Promise.reject(unavailable()) : leases.api(clock).read(signal)),
    create: (...args) => (isDown ? Promise.reject(unavailable()) : leases.api(clock).create(...args)),
    update: (...args) => (isDown ? Promise.reject(unavailable()) : leases.api(clock).update(...args)),
    changes: (...args) => leases.api(clock).changes(...args),
  };
  const staying = (more: Partial<LeaderElectorOptions> = {}): Process =>
    begin('a', { lease: away, outlivesLease: true, onResume: () => (resumes += 1), ...more });

  beforeEach(() => {
    isDown = false;
    resumes = 0;
  });

  it('is fenced from the deadline on, and stays', async () => {
    const a = staying();
    await settle();
    isDown = true;
    await clock.advance(9_999);
    expect([a.elector.isLeader, a.elector.fencedForMs]).toEqual([true, undefined]);
    await clock.advance(1);
    expect([a.elector.isLeader, a.elector.fencedForMs]).toEqual([false, 0]);
    await clock.advance(3_600_000);
    expect(() => a.elector.fence()).toThrow(expect.objectContaining({ code: 'NotLeader' }));
    expect([a.elector.fencedForMs, a.elector.lost.aborted, a.outcome]).toEqual([3_600_000, false, undefined]);
  });

  it('says so once, and in the metric', async () => {
    const { log, lines } = captureLog();
    staying({ log });
    await settle();
    isDown = true;
    await clock.advance(60_000);
    expect(lines.filter(({ msg }) => msg.includes('writes nothing'))).toMatchObject([{ level: 'error' }]);
    expect(await registry.metrics()).toContain('leader_election_master_status{name="kube-system/ballast"} 0');
  });

  it('leads again when nobody has held the Lease meanwhile, and is told that it does', async () => {
    const a = staying();
    await settle();
    isDown = true;
    await clock.advance(60_000);
    isDown = false;
    await clock.advance(2_000);
    expect([a.elector.isLeader, a.elector.fencedForMs, resumes]).toEqual([true, undefined, 1]);
    expect(() => a.elector.fence()).not.toThrow();
    expect(await registry.metrics()).toContain('leader_election_master_status{name="kube-system/ballast"} 1');
    expect(leases.lease?.spec).toMatchObject({ holderIdentity: 'a', leaseTransitions: 0 });
    isDown = true;
    await clock.advance(10_000);
    expect([a.elector.isLeader, resumes, a.outcome]).toEqual([false, 1, undefined]);
  });

  it('leads on after a renewal of which only the answer was lost', async () => {
    const a = staying();
    await settle();
    isDown = true;
    await clock.advance(20_000);
    const { lease } = leases;
    if (lease) leases.update(lease, { ...lease.spec, renewTime: '2026-01-01T00:00:00.000000Z' });
    isDown = false;
    await clock.advance(2_000);
    expect([a.elector.isLeader, resumes]).toEqual([true, 1]);
  });

  it('ends, without a write, when another one holds it', async () => {
    const a = staying();
    const b = begin('b');
    await settle();
    isDown = true;
    await clock.advance(20_000);
    expect([a.elector.isLeader, b.elector.isLeader, a.outcome]).toEqual([false, true, undefined]);
    isDown = false;
    const writesOfA = leases.log.filter((each) => each.endsWith(' a')).length;
    await clock.advance(2_000);
    expect(a.outcome).toMatchObject({ error: { code: 'NotLeader', message: expect.stringContaining('held by b') } });
    expect(leases.log.filter((each) => each.endsWith(' a'))).toHaveLength(writesOfA);
    expect([b.elector.isLeader, resumes]).toEqual([true, 0]);
  });

  it.each(['given back by one that held it', 'deleted'])('ends when it was %s: somebody may have led', async (how) => {
    const a = staying();
    await settle();
    isDown = true;
    await clock.advance(20_000);
    const { lease } = leases;
    if (how === 'deleted') leases.delete();
    else if (lease) leases.update(lease, { ...lease.spec, holderIdentity: '', leaseTransitions: 1 });
    isDown = false;
    await clock.advance(2_000);
    expect(a.outcome).toMatchObject({ error: { code: 'NotLeader' } });
    expect(leases.lease?.spec?.holderIdentity ?? '').toBe('');
  });

  it('wins over one that waits, when both could not reach the server', async () => {
    const a = staying();
    await settle();
    const b = begin('b', { lease: away });
    await clock.advance(1_000);
    isDown = true;
    await clock.advance(60_000);
    isDown = false;
    await clock.advance(30_000);
    expect([a.elector.isLeader, b.elector.isLeader]).toEqual([true, false]);
  });

  it('looks before it writes when it was stopped for longer than the deadline', async () => {
    let offset = 0;
    const stopped = { now: () => clock.now() + offset, after: clock.after.bind(clock) };
    const calls: string[] = [];
    const api = leases.api(clock);
    const told: LeaseApi = {
      ...api,
      read: (signal) => (calls.push('read'), api.read(signal)),
      update: (...args) => (calls.push('update'), api.update(...args)),
    };
    const a = begin('a', { clock: stopped, lease: told, outlivesLease: true });
    await settle();
    offset = 10_001;
    calls.length = 0;
    await clock.advance(2_000);
    expect(calls).toEqual(['read', 'update']);
    expect(a.elector.isLeader).toBe(true);
  });

  it('gives the Lease back at its end also when it is fenced, if it is still its own', async () => {
    const a = staying();
    await settle();
    isDown = true;
    await clock.advance(20_000);
    isDown = false;
    a.stop.abort();
    await settle();
    expect([a.outcome, leases.lease?.spec?.holderIdentity, clock.pending]).toEqual(['stopped', '', 0]);
  });
});

describe('a leader that may not', () => {
  it('sends nothing when it was stopped for longer than the deadline', async () => {
    let offset = 0;
    const stopped = { now: () => clock.now() + offset, after: clock.after.bind(clock) };
    const a = begin('a', { clock: stopped });
    await settle();
    offset = 10_001;
    await clock.advance(2_000);
    expect([leases.log, a.outcome]).toMatchObject([['create a'], { error: { code: 'NotLeader' } }]);
  });
});

describe('the end', () => {
  it('gives the Lease back', async () => {
    const a = begin('a');
    await settle();
    a.stop.abort();
    await settle();
    expect([a.outcome, a.elector.isLeader, a.elector.lost.aborted]).toEqual(['stopped', false, true]);
    expect(leases.lease?.spec).toMatchObject({ holderIdentity: '', leaseDurationSeconds: 1, leaseTransitions: 0 });
  });

  it('has the next one lead at once, which watches; or at its next look, when it cannot watch', async () => {
    const a = begin('a');
    await settle();
    const [b, c] = [begin('b'), begin('c', { lease: faulty({ changes: () => brokenWatch() }) })];
    await clock.advance(3_000);
    a.stop.abort();
    await settle();
    expect([b.elector.isLeader, c.elector.isLeader]).toEqual([true, false]);
    expect(leases.lease?.spec?.leaseTransitions).toBe(1);
    b.stop.abort();
    await settle();
    expect(c.elector.isLeader).toBe(false);
    await clock.advance(2_000);
    expect(c.elector.isLeader).toBe(true);
  });

  it('gives the Lease back after a renewal that was broken off but carried out', async () => {
    let requests = 0;
    const next = (): Trouble => ({ ...NO_TROUBLE, toServerMs: (requests += 1) === 3 ? 1_000 : 0 });
    const a = begin('a', { lease: leases.api(clock, next) });
    await clock.advance(2_500);
    const broken = leases.log.length;
    a.stop.abort();
    // Now it arrives after all.
    if (leases.lease) leases.update(leases.lease, { ...leases.lease.spec });
    await settle();
    expect(leases.log.slice(broken)).toEqual(['update a', 'update (nobody)']);
    expect(a.outcome).toBe('stopped');
  });

  it('gives back what it may hold without knowing', async () => {
    let requests = 0;
    const next = (): Trouble => ({ ...NO_TROUBLE, answerLost: (requests += 1) === 2 });
    const a = begin('a', { lease: leases.api(clock, next) });
    await clock.advance(1_000);
    a.stop.abort();
    await settle();
    expect(leases.log).toEqual(['create a', 'update (nobody)']);
  });

  it('leaves the Lease of another alone', async () => {
    leases.create({ holderIdentity: 'other', leaseDurationSeconds: 15 });
    const a = begin('a');
    await clock.advance(5_000);
    a.stop.abort();
    await settle();
    expect([a.outcome, leases.log]).toEqual(['stopped', ['create other']]);
  });

  it('comes also when the Lease cannot be given back', async () => {
    const api = leases.api(clock);
    let isDown = false;
    const update: LeaseApi['update'] = (...args) => (isDown ? new Promise(() => {}) : api.update(...args));
    const a = begin('a', { lease: faulty({ update }) });
    await settle();
    isDown = true;
    a.stop.abort();
    await clock.advance(2_000);
    expect([a.outcome, clock.pending]).toEqual(['stopped', 0]);
  });

  it('comes at once when it was asked for before the beginning', async () => {
    const elector = new LeaderElector({ lease: leases.api(clock), identity: 'a', log: silentLog, metrics, clock });
    await elector.run(AbortSignal.abort());
    expect(leases.log).toEqual([]);
  });
});

describe('options', () => {
  it.each([
    { identity: '' },
    { leaseDurationMs: 10_000 },
    { renewDeadlineMs: 2_400 },
    { retryPeriodMs: 0 },
    { leaseDurationMs: Number.NaN },
  ])('are refused when they do not fit together: %o', (more) => {
    const options = { lease: leases.api(clock), identity: 'a', log: silentLog, metrics, ...more };
    expect(() => new LeaderElector(options)).toThrow(expect.objectContaining({ code: 'InvalidConfig' }));
  });

  it('give every process another identity', () => {
    expect(electorIdentity('host')).toMatch(/^host_[0-9a-f-]{36}$/);
    expect(electorIdentity('host')).not.toBe(electorIdentity('host'));
  });
});

describe('the metric', () => {
  it('shows who leads', async () => {
    const line = async (): Promise<string | undefined> =>
      (await registry.metrics()).split('\n').find((each) => each.startsWith('leader_election_master_status{'));
    const a = begin('a');
    expect(await line()).toBe('leader_election_master_status{name="kube-system/ballast"} 0');
    await settle();
    expect(await line()).toBe('leader_election_master_status{name="kube-system/ballast"} 1');
    a.stop.abort();
    await settle();
    expect(await line()).toBe('leader_election_master_status{name="kube-system/ballast"} 0');
  });
});
