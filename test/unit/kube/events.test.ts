import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BallastError } from '#src/errors';
import type { CallOptions, Draft, ObjectName } from '#src/kube/client';
import { EventRecorder, type EventRecorderOptions, type EventWriter } from '#src/kube/events';
import type { EventDetails, ObjectRef } from '#src/kube/eventseries';
import { registerKubeMetrics, type KubeMetrics } from '#src/kube/metrics';
import type { Event } from '#src/kube/wire';
import { FakeClock, settle } from '#test/fakes/clock';
import { captureLog, type CapturedLog } from '#test/fakes/log';
import { apiError } from './scripted-api.ts';

const web: ObjectRef = { apiVersion: 'v1', kind: 'Service', namespace: 'shop', name: 'web', uid: 'u1' };
const ensured: EventDetails = { type: 'Normal', reason: 'EnsuredLoadBalancer', action: 'Ensure', note: 'Ready.' };

function other(name: string): ObjectRef {
  return { ...web, name, uid: `uid-${name}` };
}

/** The Events of an API server; `trouble` answers before it does anything. */
class EventServer implements EventWriter {
  readonly created: Draft<Event>[] = [];
  readonly patched: { readonly name: ObjectName; readonly patch: object }[] = [];
  trouble: (signal: AbortSignal) => Promise<void> = async () => {};
  afterCreate: () => void = () => {};

  async create(_: unknown, event: Draft<Event>, { signal }: CallOptions): Promise<void> {
    await this.trouble(signal);
    if (this.created.some(({ metadata }) => metadata.name === event.metadata.name))
      throw apiError(409, 'AlreadyExists');
    this.created.push(event);
    this.afterCreate();
  }

  async patch(_: unknown, name: ObjectName, patch: object, { signal }: CallOptions): Promise<void> {
    await this.trouble(signal);
    if (!this.created.some(({ metadata }) => metadata.name === name.name)) throw apiError(404, 'NotFound');
    this.patched.push({ name, patch });
  }

  get counts(): unknown[] {
    return this.patched.map(({ patch }) => patch);
  }
}

let clock: FakeClock;
let server: EventServer;
let captured: CapturedLog;
let metrics: KubeMetrics;
let stop: AbortController;
let running: Promise<void>;

beforeEach(() => {
  clock = new FakeClock();
  server = new EventServer();
  captured = captureLog();
  metrics = registerKubeMetrics(new Registry());
  stop = new AbortController();
  running = Promise.resolve();
});
afterEach(async () => {
  stop.abort();
  await clock.advance(10_000);
  await running;
});

function recorder(more: Partial<EventRecorderOptions> = {}): EventRecorder {
  const options = { client: server, log: captured.log, metrics, instance: 'pod-1', clock, fence: () => {} };
  return new EventRecorder({ ...options, ...more });
}

function start(more: Partial<EventRecorderOptions> = {}): EventRecorder {
  const started = recorder(more);
  running = started.run(stop.signal);
  return started;
}

async function dropped(): Promise<Record<string, number>> {
  const { values } = await metrics.eventsDropped.get();
  return Object.fromEntries(values.map(({ labels, value }) => [labels.cause, value]));
}

function series(count: number): object {
  return { series: { count, lastObservedTime: expect.stringMatching(/\.\d{6}Z$/) } };
}

describe('an event', () => {
  it('becomes an Event of events.k8s.io/v1 about the object', async () => {
    start().record(web, ensured);
    await settle();
    expect(server.created).toEqual([
      {
        apiVersion: 'events.k8s.io/v1',
        kind: 'Event',
        metadata: { namespace: 'shop', name: expect.stringMatching(/^web\.[0-9a-f]{16}$/) },
        eventTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/),
        reportingController: 'ballast.dev/controller',
        reportingInstance: 'pod-1',
        regarding: { apiVersion: 'v1', kind: 'Service', namespace: 'shop', name: 'web', uid: 'u1' },
        ...ensured,
      },
    ]);
  });

  it('about a cluster-scoped object lives in the namespace default', async () => {
    const name = `${'n'.repeat(199)}.node`;
    start().record({ apiVersion: 'v1', kind: 'Node', name, uid: 'u2' }, ensured);
    await settle();
    expect(server.created[0]?.metadata.namespace).toBe('default');
    expect(server.created[0]?.metadata.name).toMatch(/^n{199}\.[0-9a-f]{16}$/);
    expect(server.created[0]?.regarding).not.toHaveProperty('namespace');
  });

  it('that is recorded before the recorder runs is not lost', async () => {
    const early = recorder();
    early.record(web, ensured);
    running = early.run(stop.signal);
    await settle();
    expect(server.created).toHaveLength(1);
  });
});

describe('the same event again', () => {
  it('within six minutes raises the count of the first one', async () => {
    const events = start();
    events.record(web, ensured);
    await settle();
    await clock.advance(5 * 60_000);
    events.record(web, ensured);
    await clock.advance(5 * 60_000);
    events.record(web, ensured);
    await settle();
    expect(server.created).toHaveLength(1);
    expect(server.counts).toEqual([series(2), series(3)]);
    expect(server.patched[0]?.name).toEqual(server.created[0]?.metadata);
  });

  it('after six quiet minutes is a new one', async () => {
    const events = start();
    events.record(web, ensured);
    await clock.advance(6 * 60_000);
    events.record(web, ensured);
    await settle();
    expect([server.created.length, server.counts]).toEqual([2, []]);
  });

  it('before the first one is written is only counted', async () => {
    const events = recorder();
    for (let i = 0; i < 5; i += 1) events.record(web, ensured);
    running = events.run(stop.signal);
    await settle();
    expect(server.created).toMatchObject([series(5)]);
    expect(server.counts).toEqual([]);
  });

  it('is another one when its note, reason, action, type or object differs', async () => {
    const events = start();
    events.record(web, ensured);
    events.record(web, { ...ensured, note: 'Ready at last.' });
    events.record(web, { ...ensured, reason: 'UpdatedLoadBalancer' });
    events.record(web, { ...ensured, action: 'Update' });
    events.record(web, { ...ensured, type: 'Warning' });
    events.record(other('api'), ensured);
    await settle();
    expect(server.created).toHaveLength(6);
  });

  it('is made anew when the API server has forgotten the first one', async () => {
    const events = start();
    events.record(web, ensured);
    await settle();
    server.created.length = 0;
    await clock.advance(60_000);
    events.record(web, ensured);
    await settle();
    expect(server.created).toMatchObject([series(2)]);
  });

  it('while the first one is being written is written after it', async () => {
    const first = Promise.withResolvers<void>();
    server.trouble = () => first.promise;
    const events = start();
    events.record(web, ensured);
    await settle();
    events.record(web, ensured);
    events.record(web, ensured);
    first.resolve();
    await settle();
    expect([server.created.length, server.counts]).toEqual([1, [series(3)]]);
  });
});

describe('too many events', () => {
  it('about one object are dropped after a burst of 25, then let through one in five minutes', async () => {
    const events = start();
    const record = (): void => {
      for (let i = 0; i < 30; i += 1) events.record(web, { ...ensured, note: `${clock.now()}-${i}` });
    };
    record();
    events.record(other('api'), ensured);
    await settle();
    expect(server.created).toHaveLength(26);
    expect(await dropped()).toEqual({ rate_limited: 5 });
    await clock.advance(10 * 60_000);
    record();
    await settle();
    expect(server.created).toHaveLength(28);
  });

  it('of one series are counted, and the count is written when it ends', async () => {
    const events = start();
    events.record(web, ensured);
    await settle();
    for (let i = 0; i < 40; i += 1) {
      events.record(web, ensured);
      await settle();
    }
    expect(server.counts.at(-1)).toEqual(series(25));
    await clock.advance(8 * 60_000);
    expect(server.counts.at(-1)).toEqual(series(41));
    expect(await dropped()).toEqual({});
  });

  it('for the queue are dropped, and recording goes on', async () => {
    const events = recorder({ queueSize: 3 });
    for (const name of ['a', 'b', 'c', 'd', 'e']) events.record({ ...other(name), namespace: name }, ensured);
    expect(await dropped()).toEqual({ queue_full: 2 });
    running = events.run(stop.signal);
    await settle();
    expect(server.created.map(({ regarding }) => regarding?.name)).toEqual(['a', 'b', 'c']);
    events.record(other('d'), ensured);
    await settle();
    expect(server.created).toHaveLength(4);
  });

  it('of one namespace fill half of the queue, and leave the other half to the others', async () => {
    const events = recorder({ queueSize: 10 });
    for (let i = 0; i < 100; i += 1) events.record({ ...other(`flood-${i}`), namespace: 'flood' }, ensured);
    for (let i = 0; i < 4; i += 1) events.record(other(`quiet-${i}`), ensured);
    expect(await dropped()).toEqual({ queue_full: 95 });
    running = events.run(stop.signal);
    await settle();
    const written = server.created.map(({ regarding }) => regarding?.name ?? '');
    expect(written.filter((name) => name.startsWith('quiet-'))).toHaveLength(4);
    expect(written).toHaveLength(9);
  });
});

describe('an API server that refuses or is away', () => {
  it('is tried again for a while, and nothing is lost', async () => {
    let failures = 0;
    server.trouble = async () => {
      if ((failures += 1) <= 3) throw new BallastError('ApiUnavailable', 'connection refused');
    };
    const events = start();
    events.record(web, ensured);
    events.record(other('api'), ensured);
    await clock.advance(30_000);
    expect(server.created.map(({ regarding }) => regarding?.name)).toEqual(['web', 'api']);
    expect(await dropped()).toEqual({});
  });

  it('is waited for as long as it asks', async () => {
    let isFirst = true;
    server.trouble = async () => {
      if (isFirst) {
        isFirst = false;
        throw apiError(429, 'TooManyRequests', '25');
      }
    };
    start().record(web, ensured);
    await clock.advance(24_999);
    expect(server.created).toEqual([]);
    await clock.advance(1);
    expect(server.created).toHaveLength(1);
  });

  it('costs an event after six tries, and the next one has its turn', async () => {
    let tries = 0;
    server.trouble = async () => {
      if ((tries += 1) <= 6) throw new BallastError('ApiUnavailable', 'connection refused');
    };
    const events = start();
    events.record(web, ensured);
    events.record(other('api'), ensured);
    await clock.advance(60_000);
    expect(server.created.map(({ regarding }) => regarding?.name)).toEqual(['api']);
    expect(await dropped()).toEqual({ unreachable: 1 });
    expect(captured.lines).toMatchObject([{ level: 'warn', object: 'web', reason: 'EnsuredLoadBalancer' }]);
  });

  it('costs an event that it refuses, at once', async () => {
    server.trouble = async () => {
      throw apiError(403, 'Forbidden');
    };
    const events = start();
    events.record(web, ensured);
    await settle();
    server.trouble = async () => {};
    events.record(web, ensured);
    await settle();
    expect(await dropped()).toEqual({ refused: 1 });
    expect(server.created).toHaveLength(1);
    expect(server.created[0]).not.toHaveProperty('series');
  });

  it('is not asked by one that leads no longer: what waits is dropped', async () => {
    let leads = true;
    const fence = (): void => {
      if (!leads) throw new BallastError('NotLeader', 'fenced');
    };
    const events = recorder({ fence });
    running = events.run(stop.signal);
    events.record(web, ensured);
    await settle();
    leads = false;
    events.record(web, ensured);
    events.record(other('api'), ensured);
    await clock.advance(60_000);
    expect([server.created.length, server.counts, await dropped()]).toEqual([1, [], { not_leader: 2 }]);
    leads = true;
    events.record(other('api'), ensured);
    await settle();
    expect(server.created).toHaveLength(2);
  });

  it('makes no second Event when only the answer to the first was lost', async () => {
    let isFirst = true;
    server.afterCreate = () => {
      if (!isFirst) return;
      isFirst = false;
      throw new BallastError('ApiUnavailable', 'connection reset');
    };
    const events = start();
    events.record(web, ensured);
    await clock.advance(5_000);
    events.record(web, ensured);
    await settle();
    expect([server.created.length, server.counts]).toEqual([1, [series(2)]]);
  });
});

describe('the end', () => {
  it('writes what waits, and the counts that nobody saw', async () => {
    const events = start();
    for (let i = 0; i < 30; i += 1) {
      events.record(web, ensured);
      await settle();
    }
    events.record(other('api'), ensured);
    stop.abort();
    await running;
    expect(server.created).toHaveLength(2);
    expect(server.counts.at(-1)).toEqual(series(30));
    expect(clock.pending).toBe(0);
  });

  it('does not wait longer than it may, and counts what it drops', async () => {
    server.trouble = (signal) =>
      new Promise((_, reject) => {
        if (signal.aborted) reject(signal.reason);
        signal.addEventListener('abort', () => reject(signal.reason));
      });
    const events = start({ flushMs: 2_000 });
    for (const name of ['a', 'b', 'c']) events.record(other(name), ensured);
    await settle();
    stop.abort();
    let isOver = false;
    void running.then(() => (isOver = true));
    await clock.advance(1_999);
    expect(isOver).toBe(false);
    await clock.advance(1);
    expect([isOver, await dropped(), clock.pending]).toEqual([true, { shutdown: 3 }, 0]);
  });
});
