import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BallastError } from '#src/errors';
import { Availability } from '#src/kube/availability';
import { registerKubeMetrics, type KubeMetrics } from '#src/kube/metrics';
import { Reflector, type ReflectorOptions } from '#src/kube/reflector';
import { NODES } from '#src/kube/resources';
import { Store } from '#src/kube/store';
import { trimNode } from '#src/kube/trim';
import type { Node } from '#src/kube/wire';
import { node } from '#test/fakes/builders';
import { FakeClock, settle } from '#test/fakes/clock';
import { captureLog, type CapturedLog } from '#test/fakes/log';
import { apiError, page, ScriptedApi } from './scripted-api.ts';

function named(
  name: string,
  resourceVersion: string,
  more: { uid?: string; labels?: Record<string, string> } = {},
): Node {
  return node({ metadata: { name, resourceVersion, ...more } });
}

const unavailable = (): BallastError => new BallastError('ApiUnavailable', 'connection refused');

let clock: FakeClock;
let registry: Registry;
let metrics: KubeMetrics;
let captured: CapturedLog;
let store: Store<Node>;
let told: string[];
let stop: AbortController;
let running: Promise<void>;

beforeEach(() => {
  clock = new FakeClock();
  registry = new Registry();
  metrics = registerKubeMetrics(registry);
  captured = captureLog();
  store = new Store<Node>({ log: captured.log });
  told = [];
  store.subscribe(({ type, object: { metadata } }) =>
    told.push(`${type} ${metadata.name} ${metadata.resourceVersion}`),
  );
  stop = new AbortController();
  running = Promise.resolve();
});
afterEach(async () => {
  stop.abort();
  await running;
});

async function start(api: ScriptedApi<Node>, more: Partial<ReflectorOptions<Node>> = {}): Promise<Reflector<Node>> {
  const reflector = new Reflector({
    client: api.client,
    resource: NODES,
    store,
    trim: trimNode,
    log: captured.log,
    metrics,
    clock,
    random: () => 0.5,
    ...more,
  });
  running = reflector.run(stop.signal);
  await settle();
  return reflector;
}

/** The waits that were announced in the log, in milliseconds. */
function waits(): unknown[] {
  return captured.lines.filter(({ level }) => level === 'warn').map(({ waitMs }) => waitMs);
}

describe('listing and watching', () => {
  it('fills the store, then follows the changes from the version of the list', async () => {
    const api = new ScriptedApi(page([named('a', '90'), named('b', '95')], '100'));
    const reflector = await start(api);
    await reflector.hasSynced;
    expect(told).toEqual(['added a 90', 'added b 95']);
    expect(api.watch.options).toMatchObject({ resourceVersion: '100', inactivityMs: 90_000 });
    api.watch.send(
      { type: 'ADDED', object: named('c', '101') },
      { type: 'MODIFIED', object: named('a', '102', { labels: { x: 'y' } }) },
      { type: 'DELETED', object: named('b', '103') },
    );
    await settle();
    expect(told.slice(2)).toEqual(['added c 101', 'updated a 102', 'deleted b 103']);
  });

  it('stores what the trim leaves of an object', async () => {
    const api = new ScriptedApi(page([named('a', '1')]));
    await start(api);
    expect(store.get('a')).toEqual(trimNode(named('a', '1')));
    api.watch.send({ type: 'ADDED', object: named('b', '2') });
    await settle();
    expect(store.get('b')).toEqual(trimNode(named('b', '2')));
  });

  it('keeps quiet about heartbeats but remembers their version', async () => {
    const api = new ScriptedApi(page([named('a', '1')]));
    await start(api);
    const beat = named('a', '2');
    api.watch.send({ type: 'MODIFIED', object: { ...beat, status: { ...beat.status, images: [{ names: ['big'] }] } } });
    await settle();
    expect(told).toEqual(['added a 1']);
    expect(store.get('a')?.metadata.resourceVersion).toBe('2');
  });

  it('goes on from the last event or bookmark when the server ends the watch', async () => {
    const api = new ScriptedApi<Node>(page([], '100'));
    await start(api);
    await clock.advance(5_000);
    api.watch.send({ type: 'ADDED', object: named('a', '101') }, 'end');
    await settle();
    expect(api.watch.options.resourceVersion).toBe('101');
    await clock.advance(5_000);
    api.watch.send({ type: 'BOOKMARK', resourceVersion: '150' }, 'end');
    await settle();
    expect(api.watch.options.resourceVersion).toBe('150');
    expect([api.lists.length, api.watches.length, waits()]).toEqual([1, 3, []]);
  });

  it('asks for watches of five to ten minutes', async () => {
    const seconds: number[] = [];
    for (const random of [0, 0.5, 0.999]) {
      const api = new ScriptedApi<Node>(page([]));
      await start(api, { random: () => random, store: new Store<Node>({ log: captured.log }) });
      seconds.push(api.watch.options.timeoutSeconds);
      stop.abort();
      await running;
      stop = new AbortController();
    }
    expect(seconds).toEqual([300, 450, 599]);
  });

  it('tells a remade object as a deletion and an addition, though it saw neither', async () => {
    const api = new ScriptedApi(page([named('a', '1', { uid: 'old' })]), page([named('a', '9', { uid: 'new' })]));
    await start(api);
    api.watch.send(apiError(410, 'Expired'));
    await clock.advance(2_000);
    expect(told).toEqual(['added a 1', 'deleted a 1', 'added a 9']);
  });
});

describe('failures', () => {
  it('lists again after an expired version, keeping the old content until the new list is whole', async () => {
    const api = new ScriptedApi(
      page([named('a', '1'), named('b', '1')], '100'),
      unavailable(),
      page([named('b', '1')], '200', 'more'),
      page([named('c', '150')], '200'),
    );
    await start(api);
    api.watch.send(apiError(410, 'Expired'));
    await clock.advance(1_200);
    expect([api.lists.length, store.size]).toEqual([2, 2]);
    await clock.advance(2_400);
    expect(told).toEqual(['added a 1', 'added b 1', 'deleted a 1', 'added c 150']);
    expect(api.watch.options.resourceVersion).toBe('200');
  });

  it('does not list again after other failures of the watch', async () => {
    const api = new ScriptedApi<Node>(page([], '100'));
    api.watchFailures.push(unavailable(), apiError(429, 'TooManyRequests'), apiError(500, 'InternalError'));
    await start(api);
    await clock.advance(20_000);
    expect([api.lists.length, api.watches.length]).toEqual([1, 4]);
    expect(api.watches.map(({ options }) => options.resourceVersion)).toEqual(['100', '100', '100', '100']);
  });

  it('waits longer and longer, with jitter, between 0.8 and 10 s', async () => {
    const api = new ScriptedApi<Node>(unavailable());
    await start(api);
    await clock.advance(200_000);
    expect(waits().slice(0, 8)).toEqual([1_200, 2_400, 4_800, 9_600, 15_000, 15_000, 15_000, 15_000]);
    expect(store.size).toBe(0);
  });

  it('starts with the shortest wait again after two quiet minutes', async () => {
    const api = new ScriptedApi<Node>(unavailable(), unavailable(), page([]));
    await start(api);
    await clock.advance(3_600);
    expect(api.watches).toHaveLength(1);
    await clock.advance(120_001);
    api.watch.send({ type: 'BOOKMARK', resourceVersion: '5' }, unavailable());
    await settle();
    expect(waits()).toEqual([1_200, 2_400, 1_200]);
  });

  it('does not start again with the shortest wait because one list worked', async () => {
    const api = new ScriptedApi<Node>(unavailable(), unavailable(), page([]));
    api.watchFailures.push(unavailable());
    await start(api);
    await clock.advance(3_600);
    expect(waits()).toEqual([1_200, 2_400, 4_800]);
  });

  it('starts with the shortest wait again after a watch that brought something', async () => {
    const api = new ScriptedApi<Node>(unavailable(), unavailable(), page([], '100'));
    await start(api);
    await clock.advance(3_600);
    for (const version of ['101', '102']) {
      api.watch.send({ type: 'ADDED', object: named('a', version) }, unavailable());
      await clock.advance(1_200);
    }
    api.watch.send(unavailable());
    await clock.advance(2_400);
    expect(waits()).toEqual([1_200, 2_400, 1_200, 1_200, 2_400]);
  });

  it('does not start again with the shortest wait when all must be listed again', async () => {
    const api = new ScriptedApi<Node>(page([], '100'));
    await start(api);
    for (const wait of [1_200, 2_400, 4_800]) {
      api.watch.send({ type: 'BOOKMARK', resourceVersion: '100' }, apiError(410, 'Expired'));
      await clock.advance(wait);
    }
    expect(waits()).toEqual([1_200, 2_400, 4_800]);
    expect(api.lists).toHaveLength(4);
  });

  it('does not believe a list that is older than what it saw, and asks again', async () => {
    const api = new ScriptedApi(
      page([named('a', '90')], '100'),
      page<Node>([], '100'),
      page([named('a', '90'), named('b', '105')], '110'),
    );
    await start(api);
    api.watch.send({ type: 'ADDED', object: named('b', '105') }, apiError(410, 'Expired'));
    await clock.advance(1_200);
    expect([api.lists.length, store.size]).toEqual([2, 2]);
    await clock.advance(2_400);
    expect(told).toEqual(['added a 90', 'added b 105']);
    expect(api.watch.options.resourceVersion).toBe('110');
    expect(captured.lines.at(-2)).toMatchObject({ level: 'warn', error: { code: 'ApiUnavailable' } });
  });

  it('believes in the end that the API server has gone back', async () => {
    const older = named('a', '40', { labels: { from: 'backup' } });
    const api = new ScriptedApi(page([named('a', '90')], '100'), page([older], '50'));
    await start(api);
    api.watch.send(apiError(410, 'Expired'));
    for (const wait of [1_200, 2_400, 4_800, 9_600]) {
      expect(told).toEqual(['added a 90']);
      await clock.advance(wait);
    }
    await clock.advance(15_000);
    expect(told).toEqual(['added a 90', 'updated a 40']);
    expect(api.watch.options.resourceVersion).toBe('50');
    api.watch.send(apiError(410, 'Expired'));
    api.pages[0] = page([named('a', '41')], '51');
    await clock.advance(15_000);
    expect(told.at(-1)).toBe('updated a 41');
  });

  it('tries again soon when another client finds the API server back', async () => {
    const availability = new Availability({ clock });
    const api = new ScriptedApi<Node>(unavailable());
    await start(api, { availability });
    availability.failed();
    await clock.advance(9_000);
    expect(waits()).toEqual([1_200, 2_400, 4_800, 9_600]);
    api.pages[0] = page([named('a', '1')]);
    availability.answered();
    await clock.advance(399);
    expect(api.lists).toHaveLength(4);
    await clock.advance(1);
    expect(told).toEqual(['added a 1']);
    expect(clock.pending).toBe(0);
  });

  it('waits as long as the server asks, within reason', async () => {
    const api = new ScriptedApi<Node>(
      apiError(429, 'TooManyRequests', '20'),
      apiError(429, 'TooManyRequests', '1'),
      apiError(503, 'ServiceUnavailable', '500'),
      page([]),
    );
    await start(api);
    await clock.advance(200_000);
    expect(waits()).toEqual([20_000, 2_400, 120_000]);
  });

  it('takes a watch that ends at once and without an event for a failure', async () => {
    const api = new ScriptedApi<Node>(page([]));
    await start(api);
    api.watch.send('end');
    await settle();
    expect([api.watches.length, waits()]).toEqual([1, [1_200]]);
    await clock.advance(1_200);
    await clock.advance(1_000);
    api.watch.send('end');
    await settle();
    expect([api.watches.length, waits()]).toEqual([3, [1_200]]);
  });

  it('distrusts a version with which several watches in a row were silent', async () => {
    const api = new ScriptedApi(page([], '9000'), page([named('a', '40')], '50'));
    await start(api, { backoff: { initialMs: 1, maxMs: 1 } });
    for (let watch = 0; watch < 3; watch += 1) {
      expect(api.lists).toHaveLength(1);
      await clock.advance(90_000);
      api.watch.send(new BallastError('ApiUnavailable', 'nothing came for 90000 ms'));
      await clock.advance(1);
    }
    expect([api.lists.length, told]).toEqual([2, ['added a 40']]);
    expect(api.watch.options.resourceVersion).toBe('50');
  });

  it('does not distrust a version because the server is away', async () => {
    const api = new ScriptedApi<Node>(page([]));
    api.watchFailures.push(...Array.from({ length: 10 }, unavailable));
    await start(api);
    await clock.advance(600_000);
    expect([api.lists.length, api.watches.length]).toEqual([1, 11]);
  });

  it('survives a handler that throws', async () => {
    const api = new ScriptedApi(page([named('a', '1')]));
    store.subscribe(() => {
      throw new Error('bad handler');
    });
    const reflector = await start(api);
    await reflector.hasSynced;
    api.watch.send({ type: 'ADDED', object: named('b', '2') });
    await settle();
    expect(told).toEqual(['added a 1', 'added b 2']);
    expect([api.lists.length, api.watches.length]).toEqual([1, 1]);
  });

  it('skips an event that cannot be applied, and does not ask for it again', async () => {
    const api = new ScriptedApi<Node>(page([], '100'));
    const trim = (each: Node): Node => {
      if (each.metadata.name === 'bad') throw new Error('unexpected shape');
      return each;
    };
    await start(api, { trim });
    api.watch.send({ type: 'ADDED', object: named('bad', '101') }, { type: 'ADDED', object: named('ok', '102') });
    await settle();
    expect(told).toEqual(['added ok 102']);
    api.watch.send(unavailable());
    await clock.advance(1_200);
    expect(api.watch.options.resourceVersion).toBe('102');
    expect(captured.lines.filter(({ level }) => level === 'error')).toMatchObject([{ object: 'bad' }]);
  });
});

describe('the end', () => {
  it('comes with the signal, during a list, a watch and a wait, and leaves no timer', async () => {
    const hanging = new ScriptedApi<Node>(page([]));
    const list = (_: unknown, { signal }: { signal: AbortSignal }): Promise<never> =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    const inList = { ...hanging.client, list };
    for (const more of [{ client: inList }, {}, { client: new ScriptedApi<Node>(unavailable()).client }]) {
      await start(new ScriptedApi<Node>(page([])), more);
      stop.abort();
      await running;
      expect(clock.pending).toBe(0);
      stop = new AbortController();
    }
  });

  it('opens no watch when it comes during the list', async () => {
    const api = new ScriptedApi<Node>(page([named('a', '1')]));
    stop.abort(new Error('too late'));
    const reflector = await start(api);
    await expect(reflector.hasSynced).rejects.toThrow('too late');
    expect([api.watches.length, told]).toEqual([0, []]);
  });

  it('takes a reflector that never synced out of the wait', async () => {
    const reflector = await start(new ScriptedApi<Node>(unavailable()));
    stop.abort(new Error('shutting down'));
    await expect(reflector.hasSynced).rejects.toThrow('shutting down');
  });
});

describe('metrics', () => {
  it('count lists, watches, events and failures, and tell the age of the last event', async () => {
    const api = new ScriptedApi(page([named('a', '1')]), page([named('a', '1'), named('b', '2')]));
    const reflector = await start(api);
    await clock.advance(3_000);
    expect(reflector.lastEventAgeMs).toBe(3_000);
    api.watch.send({ type: 'BOOKMARK', resourceVersion: '5' });
    await settle();
    expect(reflector.lastEventAgeMs).toBe(0);
    api.watch.send(apiError(410, 'Expired'));
    await clock.advance(2_500);
    const text = await registry.metrics();
    for (const line of [
      'reflector_lists_total{name="nodes"} 2',
      'reflector_watches_total{name="nodes"} 2',
      'reflector_watch_events_total{name="nodes",type="BOOKMARK"} 1',
      'reflector_failures_total{name="nodes",code="ApiUnavailable"} 1',
      'reflector_objects{name="nodes"} 2',
      'reflector_last_event_age_seconds{name="nodes"} 1.3',
    ]) {
      expect(text).toContain(line);
    }
    stop.abort();
    await running;
    expect(await registry.metrics()).not.toContain('reflector_objects{');
  });
});
