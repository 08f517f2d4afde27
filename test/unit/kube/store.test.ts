import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keyOf, Store, type StoreEvent } from '#src/kube/store';
import type { Service } from '#src/kube/wire';
import { service } from '#test/fakes/builders';
import { captureLog, silentLog } from '#test/fakes/log';

interface Version {
  readonly name?: string;
  readonly uid?: string;
  readonly version?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

function object({ name = 'web', uid = `uid-${name}`, version = '1', labels = {} }: Version = {}): Service {
  return service({ metadata: { namespace: 'default', name, uid, resourceVersion: version, labels } });
}

const byApp = (each: Service): readonly string[] => {
  const app = each.metadata.labels?.['app'];
  return app === undefined ? [] : app.split('.');
};

function storeWithEvents(): { store: Store<Service, 'app'>; events: StoreEvent<Service>[] } {
  const store = new Store<Service, 'app'>({ log: silentLog, indexes: { app: byApp } });
  const events: StoreEvent<Service>[] = [];
  store.subscribe((event) => events.push(event));
  return { store, events };
}

function names(objects: readonly Service[]): string[] {
  return objects.map((each) => each.metadata.name).toSorted();
}

function told(events: readonly StoreEvent<Service>[]): string[] {
  return events.map(({ type, object: { metadata } }) => `${type} ${metadata.name} ${metadata.uid}`);
}

describe('Store', () => {
  it('finds objects by namespace and name, or by name alone when they have no namespace', () => {
    const { store } = storeWithEvents();
    const web = object();
    store.put(web);
    expect(store.get('default/web')).toBe(web);
    expect(store.get('other/web')).toBeUndefined();
    expect(keyOf({ metadata: { name: 'n1', uid: '1', resourceVersion: '1' } })).toBe('n1');
    expect([store.size, store.list()]).toEqual([1, [web]]);
  });

  it('tells what was added, updated and deleted, after the fact', () => {
    const { store, events } = storeWithEvents();
    const [first, second, last] = ['1', '2', '3'].map((version) => object({ version, labels: { version } }));
    if (!first || !second || !last) throw new Error('three versions');
    const seen: (Service | undefined)[] = [];
    store.subscribe(() => seen.push(store.get('default/web')));
    store.put(first);
    store.put(second);
    store.delete(last);
    expect(events).toEqual([
      { type: 'added', object: first },
      { type: 'updated', object: second, previous: first },
      { type: 'deleted', object: last },
    ]);
    expect(seen).toEqual([first, second, undefined]);
  });

  it('stores an update of nothing but the resource version in silence', () => {
    const { store, events } = storeWithEvents();
    store.put(object({ version: '1' }));
    store.put(object({ version: '2' }));
    expect(store.get('default/web')?.metadata.resourceVersion).toBe('2');
    expect(told(events)).toEqual(['added web uid-web']);
  });

  it('tells another UID under the same name as a deletion and an addition', () => {
    const { store, events } = storeWithEvents();
    store.put(object({ uid: 'old', labels: { app: 'a' } }));
    store.put(object({ uid: 'new' }));
    expect(told(events)).toEqual(['added web old', 'deleted web old', 'added web new']);
    expect(store.byIndex('app', 'a')).toEqual([]);
  });

  it('does not tell the deletion of what it never had', () => {
    const { store, events } = storeWithEvents();
    store.delete(object());
    expect(events).toEqual([]);
  });

  it('tells only the differences when all is replaced, deletions first', () => {
    const { store, events } = storeWithEvents();
    for (const name of ['gone', 'same', 'changed', 'remade']) store.put(object({ name }));
    events.length = 0;
    store.replace([
      object({ name: 'new' }),
      object({ name: 'same', version: '9' }),
      object({ name: 'changed', version: '9', labels: { app: 'x' } }),
      object({ name: 'remade', uid: 'another' }),
    ]);
    expect(told(events)).toEqual([
      'deleted gone uid-gone',
      'deleted remade uid-remade',
      'added new uid-new',
      'updated changed uid-changed',
      'added remade another',
    ]);
    expect(store.get('default/same')?.metadata.resourceVersion).toBe('9');
    expect(names(store.byIndex('app', 'x'))).toEqual(['changed']);
  });

  it('shows handlers the whole new content already at the first event', () => {
    const store = new Store<Service>({ log: silentLog });
    const sizes: number[] = [];
    store.subscribe(() => sizes.push(store.size));
    store.replace([object({ name: 'a' }), object({ name: 'b' }), object({ name: 'c' })]);
    expect(sizes).toEqual([3, 3, 3]);
  });

  it('goes on after a handler that throws, and logs it', () => {
    const { log, lines } = captureLog();
    const store = new Store<Service>({ log });
    const seen: string[] = [];
    store.subscribe(() => {
      throw new Error('bad handler');
    });
    store.subscribe(({ object: { metadata } }) => seen.push(metadata.name));
    store.put(object({ name: 'a' }));
    store.put(object({ name: 'b' }));
    expect(seen).toEqual(['a', 'b']);
    expect(lines).toMatchObject([
      { level: 'error', object: 'default/a', event: 'added', error: { message: 'bad handler' } },
      { object: 'default/b' },
    ]);
  });

  it('tells nothing any more after the end of a subscription', () => {
    const store = new Store<Service>({ log: silentLog });
    let count = 0;
    const end = store.subscribe(() => (count += 1));
    store.put(object({ name: 'a' }));
    end();
    store.put(object({ name: 'b' }));
    expect(count).toBe(1);
  });

  it('keeps its indexes like a full scan would find them, and its events like the content changes', () => {
    const anyName = fc.constantFrom('a', 'b', 'c', 'd');
    const version = fc.record({
      name: anyName,
      uid: fc.constantFrom('1', '2'),
      labels: fc.option(
        fc.constantFrom('x', 'y', 'x.y', 'y.z').map((app) => ({ app })),
        { nil: {} },
      ),
    });
    const commands = fc.array(
      fc.oneof(
        version.map((each) => ({ kind: 'put' as const, each })),
        version.map((each) => ({ kind: 'delete' as const, each })),
        fc.uniqueArray(version, { selector: ({ name }) => name }).map((all) => ({ kind: 'replace' as const, all })),
      ),
    );
    fc.assert(
      fc.property(commands, (list) => {
        const { store } = storeWithEvents();
        const follower = new Map<string, Service>();
        let versions = 0;
        const next = (each: Version): Service => object({ ...each, version: String((versions += 1)) });
        store.subscribe((event) => {
          const key = keyOf(event.object);
          const had = follower.get(key);
          expect(had === undefined).toBe(event.type === 'added');
          const before = event.type === 'updated' ? event.previous : event.object;
          expect(before.metadata.uid).toBe(event.object.metadata.uid);
          if (event.type === 'deleted') follower.delete(key);
          else follower.set(key, event.object);
        });
        for (const command of list) {
          if (command.kind === 'put') store.put(next(command.each));
          else if (command.kind === 'delete') store.delete(next(command.each));
          else store.replace(command.all.map(next));
          for (const app of ['x', 'y', 'z', 'none']) {
            const scanned = store.list().filter((each) => byApp(each).includes(app));
            expect(names(store.byIndex('app', app))).toEqual(names(scanned));
          }
          const withoutVersion = (all: Iterable<Service>): object[] =>
            [...all]
              .map((each) => ({ ...each, metadata: { ...each.metadata, resourceVersion: '' } }))
              .toSorted((a, b) => a.metadata.name.localeCompare(b.metadata.name));
          expect(withoutVersion(follower.values())).toEqual(withoutVersion(store.list()));
        }
      }),
    );
  });
});
