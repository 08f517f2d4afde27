/** Which events could change which load balancers. */
import type { StoreEvent } from '../kube/store.ts';
import type { EndpointSlice, Service } from '../kube/wire.ts';
import { endpointNodesOf } from '../loadbalancer/endpoints.ts';
import type { LoadBalancerKey } from '../loadbalancer/identity.ts';
import type { Echo } from './echo.ts';
import type { Ledger } from './ledger.ts';
import { keyName, sliceOwners, type Stores } from './ports.ts';
import type { Roster } from './roster.ts';

export interface EventRouterOptions {
  readonly stores: Pick<Stores, 'services' | 'endpointSlices'>;
  readonly roster: Roster;
  readonly ledger: Ledger;
  readonly echo: Echo;
  readonly enqueue: (key: LoadBalancerKey) => void;
}

/** Follows the stores: keeps the roster and tells which keys need work. */
export class EventRouter {
  readonly #options: EventRouterOptions;
  readonly #unsubscribe: readonly (() => void)[];
  /** Where the endpoints of each Service with the Local policy were when that last mattered. */
  readonly #endpointNodes = new Map<string, string>();

  constructor(options: EventRouterOptions) {
    const { stores, roster } = options;
    this.#options = options;
    for (const service of stores.services.list()) roster.update(service, true);
    this.#unsubscribe = [
      stores.services.subscribe((event) => this.#onService(event)),
      stores.endpointSlices.subscribe((event) => this.#onSlice(event)),
    ];
  }

  stop(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
  }

  /** The load balancer that it names now, the one that it named before, and all that hold it. */
  #onService(event: StoreEvent<Service>): void {
    const { roster, ledger, echo, enqueue } = this.#options;
    const service = event.object;
    const keys = new Set(roster.update(service, event.type !== 'deleted'));
    if (!isLocal(service) || event.type === 'deleted') this.#endpointNodes.delete(keyName(service));
    if (echo.isOwn(event)) return;
    for (const key of ledger.holdersOf(service.metadata.uid)) keys.add(key);
    for (const key of keys) enqueue(key);
  }

  /** Endpoints matter where the Local policy sends traffic only to nodes that have one, and when those change. */
  #onSlice(event: StoreEvent<EndpointSlice>): void {
    const { stores, roster, ledger, enqueue } = this.#options;
    const slices = event.type === 'updated' ? [event.previous, event.object] : [event.object];
    for (const name of new Set(slices.flatMap(sliceOwners))) {
      const part = roster.byName(name);
      if (part?.kind !== 'member' || !isLocal(part.service)) continue;
      const nodes = endpointNodesOf(part.service, stores.endpointSlices.byIndex('service', name)).join();
      if (this.#endpointNodes.get(name) === nodes) continue;
      this.#endpointNodes.set(name, nodes);
      // Whose group is refused stands under its own name, and may be with the group that holds it.
      for (const key of new Set([part.key, ...ledger.holdersOf(part.service.metadata.uid)])) enqueue(key);
    }
  }
}

function isLocal(service: Service): boolean {
  return service.spec?.externalTrafficPolicy === 'Local';
}
