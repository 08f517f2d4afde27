import type { KubeClient } from '../kube/client.ts';
import { Reflector } from '../kube/reflector.ts';
import { ENDPOINT_SLICES, NODES, SERVICES } from '../kube/resources.ts';
import { Store } from '../kube/store.ts';
import { trimEndpointSlice, trimNode, trimService } from '../kube/trim.ts';
import type { EndpointSlice, Node, Service } from '../kube/wire.ts';
import type { Component } from '../runtime/manager.ts';
import { sliceOwners, type Stores } from '../service/ports.ts';
import type { Log } from '../telemetry/log.ts';
import type { Cluster } from './cluster.ts';

export interface WatchedStores {
  readonly stores: Stores;
  /** Resolves when every store was filled for the first time. */
  readonly synced: Promise<unknown>;
  /** What keeps them filled. */
  readonly components: readonly Component[];
}

/** The stores of everything that decides about load balancers. */
export function createStores(log: Log): Stores {
  return {
    services: new Store<Service>({ log }),
    nodes: new Store<Node>({ log }),
    endpointSlices: new Store<EndpointSlice, 'service'>({ log, indexes: { service: sliceOwners } }),
  };
}

/** The stores, kept as the cluster is while their components run. */
export function watchStores(
  client: KubeClient,
  log: Log,
  { metrics, availability }: Pick<Cluster, 'metrics' | 'availability'>,
): WatchedStores {
  const stores = createStores(log);
  const parts = { client, log, metrics, availability };
  const reflectors = [
    new Reflector({ ...parts, resource: SERVICES, store: stores.services, trim: trimService }),
    new Reflector({ ...parts, resource: NODES, store: stores.nodes, trim: trimNode }),
    new Reflector({ ...parts, resource: ENDPOINT_SLICES, store: stores.endpointSlices, trim: trimEndpointSlice }),
  ];
  const synced = Promise.all(reflectors.map((reflector) => reflector.hasSynced));
  // Whoever waits hears of it; when the process ends before, nobody does.
  synced.catch(() => {});
  return { stores, synced, components: reflectors.map(reflectorComponent) };
}

function reflectorComponent(reflector: Pick<Reflector<Service>, 'name' | 'run' | 'hasSynced'>): Component {
  let ready = false;
  const onSynced = (): void => {
    ready = true;
  };
  return {
    name: `reflector-${reflector.name}`,
    start(signal) {
      reflector.hasSynced.then(onSynced, () => {});
      return reflector.run(signal);
    },
    ready: () => ready || 'the first list is not complete',
  };
}
