/**
 * The API server as far as Services are concerned: merge patches with preconditions, subresources that ignore each
 * other's part, NodePorts that belong to one Service only, finalizers, and what it wipes when a type changes. Every
 * change reaches the store as a watch would bring it, at once or when told.
 */
import { BallastError } from '#src/errors';
import type { PatchOutcome } from '#src/kube/patch';
import { keyOf, type Store } from '#src/kube/store';
import type { ObjectMeta, Service } from '#src/kube/wire';
import { currentIngress } from '#src/loadbalancer/ingress';
import type { PatchOptions, ServicePatch, ServiceWriter } from '#src/service/ports';

export interface RecordedWrite {
  /** `namespace/name`. */
  readonly name: string;
  readonly subresource: 'status' | undefined;
  readonly patch: ServicePatch;
}

/** Runs around a write; throws to make it fail, before it has an effect or after (a lost answer). */
export type WriteHook = (write: RecordedWrite) => void | Promise<void>;

type Spec = NonNullable<Service['spec']>;

export class ServiceApi implements ServiceWriter {
  readonly store: Store<Service>;
  /** Every patch that was applied, in order. */
  readonly writes: RecordedWrite[] = [];
  beforeWrite: WriteHook = () => {};
  afterWrite: WriteHook = () => {};
  /** Whether changes wait for `flush` before the store hears of them. */
  watchIsSlow = false;
  readonly #services = new Map<string, Service>();
  readonly #unseen: (() => void)[] = [];
  #resourceVersion = 1_000;
  #conflicts = 0;

  constructor(store: Store<Service>) {
    this.store = store;
  }

  /** How many writes met another version than the one they were computed from. */
  get conflicts(): number {
    return this.#conflicts;
  }

  get(name: string): Service | undefined {
    return this.#services.get(name);
  }

  list(): readonly Service[] {
    return [...this.#services.values()];
  }

  /** The Service, or an error when there is none. */
  must(name: string): Service {
    const service = this.#services.get(name);
    if (service === undefined) throw new Error(`there is no Service ${name}`);
    return service;
  }

  create(service: Service): Service {
    if (this.#services.has(keyOf(service))) throw new Error(`${keyOf(service)} exists already`);
    this.#checkNodePorts(service);
    return this.#save(service);
  }

  /** A user's change of `spec`; a change of type wipes what the API server wipes. */
  edit(name: string, spec: Partial<Spec>): Service {
    const service = this.must(name);
    const edited = { ...service, spec: { ...service.spec, ...spec } };
    const leaves = service.spec?.type === 'LoadBalancer' && edited.spec.type !== 'LoadBalancer';
    return this.#save(leaves ? wiped(edited) : edited);
  }

  /** A user's change of annotations; undefined removes one. */
  annotate(name: string, annotations: Readonly<Record<string, string | undefined>>): Service {
    const service = this.must(name);
    const merged = Object.entries({ ...service.metadata.annotations, ...annotations }).flatMap(([key, value]) =>
      value === undefined ? [] : [[key, value] as const],
    );
    return this.#save({ ...service, metadata: { ...service.metadata, annotations: Object.fromEntries(merged) } });
  }

  /** Somebody else's change of anything. */
  tamper(name: string, change: (service: Service) => Service): Service {
    return this.#save(change(this.must(name)));
  }

  /** A user's deletion: at once without finalizers, else marked. */
  delete(name: string): void {
    const { metadata, ...rest } = this.must(name);
    this.#save({ ...rest, metadata: { ...metadata, deletionTimestamp: '2026-01-01T01:00:00Z' } });
  }

  /** Brings the store up to date. */
  flush(): void {
    for (const tell of this.#unseen.splice(0)) tell();
  }

  async patch(
    known: Service,
    compute: (current: Service) => ServicePatch | undefined,
    { subresource, signal }: PatchOptions,
  ): Promise<PatchOutcome<Service>> {
    const name = keyOf(known);
    let state: Service | undefined = known;
    for (let attempt = 0; attempt < 5; attempt++) {
      signal.throwIfAborted();
      if (state === undefined || state.metadata.uid !== known.metadata.uid) return { kind: 'gone' };
      const patch = compute(state);
      if (patch === undefined) return { kind: 'unchanged', object: state };
      const write: RecordedWrite = { name, subresource, patch };
      await this.beforeWrite(write);
      const current = this.#services.get(name);
      if (current === undefined) return { kind: 'gone' };
      if (current.metadata.resourceVersion === state.metadata.resourceVersion) {
        const object = this.#apply(current, write);
        await this.afterWrite(write);
        return { kind: 'patched', object };
      }
      this.#conflicts += 1;
      state = current;
    }
    throw new BallastError('ApiConflict', `${name} changed again and again`);
  }

  #apply(current: Service, { subresource, patch }: RecordedWrite): Service {
    const { metadata, spec, status } = patch;
    const before = JSON.stringify(current);
    const part = subresource === 'status' ? { metadata, status } : { metadata, spec };
    const after: Service = JSON.parse(JSON.stringify(mergePatch({ ...current }, JSON.parse(JSON.stringify(part)))));
    this.#checkNodePorts(after);
    if (JSON.stringify(current) !== before) throw new Error('a patch changed its object in place');
    this.writes.push({ name: keyOf(current), subresource, patch });
    return this.#save(after);
  }

  #save(service: Service): Service {
    const metadata: ObjectMeta = { ...service.metadata, resourceVersion: String(++this.#resourceVersion) };
    const saved: Service = { ...service, metadata };
    const gone = metadata.deletionTimestamp !== undefined && (metadata.finalizers ?? []).length === 0;
    if (gone) this.#services.delete(keyOf(saved));
    else this.#services.set(keyOf(saved), saved);
    this.#unseen.push(() => (gone ? this.store.delete(saved) : this.store.put(saved)));
    if (!this.watchIsSlow) this.flush();
    return saved;
  }

  #checkNodePorts(service: Service): void {
    for (const [index, { nodePort }] of (service.spec?.ports ?? []).entries()) {
      const owner = this.list().find(
        (other) =>
          other.metadata.uid !== service.metadata.uid &&
          (other.spec?.healthCheckNodePort === nodePort ||
            other.spec?.ports?.some((port) => port.nodePort === nodePort)),
      );
      if (!nodePort || !owner) continue;
      const message =
        `PATCH services: 422 Service "${service.metadata.name}" is invalid: spec.ports[${index}].nodePort: Invalid ` +
        `value: ${nodePort}: provided port is already allocated`;
      throw new BallastError('ApiInvalid', message, { field: `spec.ports[${index}].nodePort` });
    }
  }
}

/** What the API server takes away when a Service is no longer a load balancer. */
function wiped(service: Service): Service {
  const { loadBalancerClass: _class, healthCheckNodePort: _port, ...spec } = service.spec ?? {};
  const external = spec.type === 'NodePort';
  return {
    ...service,
    spec: { ...spec, ports: (spec.ports ?? []).map((port) => (external ? port : { ...port, nodePort: 0 })) },
    status: { ...service.status, loadBalancer: {} },
  };
}

type Json = Readonly<Record<string, unknown>>;

/** RFC 7386. */
function mergePatch(target: Json, patch: Json): Json {
  const merged: Record<string, unknown> = { ...target };
  for (const [key, value] of Object.entries(patch)) {
    const old = merged[key];
    if (value === null) delete merged[key];
    else if (isObject(value)) merged[key] = mergePatch(isObject(old) ? old : {}, value);
    else merged[key] = value;
  }
  return merged;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The addresses that a Service's status shows. */
export function addressesOf(service: Service): readonly string[] {
  return currentIngress(service).map(({ ip, hostname }) => ip ?? hostname ?? '');
}
