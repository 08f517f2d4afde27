import { isDeepStrictEqual } from 'node:util';
import type { Log } from '../telemetry/log.ts';
import { Index, type IndexFunction } from './storeindex.ts';
import type { KubeObject } from './wire.ts';

/** A change of the store, told after it happened. */
export type StoreEvent<T extends KubeObject> =
  | { readonly type: 'added'; readonly object: T }
  | { readonly type: 'updated'; readonly object: T; readonly previous: T }
  | { readonly type: 'deleted'; readonly object: T };

export type StoreHandler<T extends KubeObject> = (event: StoreEvent<T>) => void;

export interface StoreOptions<T extends KubeObject, IndexName extends string> {
  readonly log: Log;
  /** Named functions that give the values under which an object is found; pure, as they are asked again. */
  readonly indexes?: Readonly<Record<IndexName, IndexFunction<T>>>;
}

/** `namespace/name`, or `name` for a cluster-scoped object. */
export function keyOf({ metadata: { namespace, name } }: KubeObject): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

/**
 * The objects of one resource as the API server last told them, trimmed. Reads are synchronous and never copy: the
 * objects are shared and nobody changes them.
 *
 * Subscribers hear of every change that means something: an update that differs in nothing but the resource version
 * (a node's heartbeat, once trimmed) is stored in silence, and an object that was deleted and made again under its old
 * name is a deletion and an addition, however little of it we saw.
 */
export class Store<T extends KubeObject, IndexName extends string = never> {
  readonly #log: Log;
  readonly #handlers = new Set<StoreHandler<T>>();
  readonly #indexes = new Map<string, Index<T>>();
  #objects = new Map<string, T>();

  constructor(options: StoreOptions<T, IndexName>) {
    this.#log = options.log;
    for (const [name, values] of Object.entries<IndexFunction<T>>(options.indexes ?? {})) {
      this.#indexes.set(name, new Index(values));
    }
  }

  get size(): number {
    return this.#objects.size;
  }

  /** The object with this key (`keyOf`). */
  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  list(): T[] {
    return [...this.#objects.values()];
  }

  /** The objects with this value in the named index, in no order. */
  byIndex(name: IndexName, value: string): T[] {
    const objects: T[] = [];
    for (const key of this.#indexes.get(name)?.keys(value) ?? []) {
      const object = this.#objects.get(key);
      if (object) objects.push(object);
    }
    return objects;
  }

  /** Calls `handler` after every change from now on; the returned function ends that. Handlers must not block. */
  subscribe(handler: StoreHandler<T>): () => void {
    this.#handlers.add(handler);
    return () => this.#handlers.delete(handler);
  }

  /** Adds or updates one object. */
  put(object: T): void {
    const key = keyOf(object);
    const previous = this.#objects.get(key);
    this.#objects.set(key, object);
    for (const index of this.#indexes.values()) index.move(key, previous, object);
    this.#tell(changesOf(previous, object));
  }

  /** Removes one object; its last state is what subscribers get. */
  delete(object: T): void {
    const key = keyOf(object);
    const previous = this.#objects.get(key);
    if (!previous) return;
    this.#objects.delete(key);
    for (const index of this.#indexes.values()) index.move(key, previous, undefined);
    this.#tell([{ type: 'deleted', object }]);
  }

  /**
   * Makes `objects` the whole content, in one step for readers, and tells only what differs: deletions first, so that
   * what they held (an address, a port) is free before a newcomer asks for it.
   */
  replace(objects: Iterable<T>): void {
    const before = this.#objects;
    const after = new Map<string, T>();
    for (const object of objects) after.set(keyOf(object), object);

    const gone: StoreEvent<T>[] = [];
    const changed: StoreEvent<T>[] = [];
    for (const [key, object] of before) {
      if (!after.has(key)) {
        gone.push({ type: 'deleted', object });
        for (const index of this.#indexes.values()) index.move(key, object, undefined);
      }
    }
    for (const [key, object] of after) {
      const previous = before.get(key);
      for (const index of this.#indexes.values()) index.move(key, previous, object);
      for (const event of changesOf(previous, object)) (event.type === 'deleted' ? gone : changed).push(event);
    }
    this.#objects = after;
    this.#tell([...gone, ...changed]);
  }

  #tell(events: readonly StoreEvent<T>[]): void {
    for (const event of events) {
      for (const handler of this.#handlers) {
        try {
          handler(event);
        } catch (error) {
          // One bad handler must neither stop the others nor the watch that feeds us.
          this.#log.error({ error, object: keyOf(event.object), event: event.type }, 'a store handler threw');
        }
      }
    }
  }
}

function changesOf<T extends KubeObject>(previous: T | undefined, object: T): StoreEvent<T>[] {
  if (!previous) return [{ type: 'added', object }];
  if (previous.metadata.uid !== object.metadata.uid) {
    return [
      { type: 'deleted', object: previous },
      { type: 'added', object },
    ];
  }
  return sameButVersion(previous, object) ? [] : [{ type: 'updated', object, previous }];
}

/** Whether two states of an object differ in nothing but `metadata.resourceVersion`. */
function sameButVersion(a: KubeObject, b: KubeObject): boolean {
  if (a.metadata.resourceVersion === b.metadata.resourceVersion) return true;
  const { resourceVersion } = a.metadata;
  return isDeepStrictEqual(a, { ...b, metadata: { ...b.metadata, resourceVersion } });
}
