/** Nodes together with their health, sorted into tiers; shared by all members that see the same nodes in the same way. */
import type { NodeTarget } from '#src/loadbalancer/model';
import type { Tiers } from './balancer.ts';
import type { HealthChecker, Watched } from './health.ts';
import { targetHost, usableNodes, type Targets, type TargetsHealth } from './targets.ts';

/** A node, and what is known of its health; without a check it counts as healthy. */
export interface ViewedNode {
  readonly name: string;
  readonly node: NodeTarget;
  readonly watched: Watched | undefined;
}

export class NodeView {
  readonly nodes: readonly ViewedNode[];
  readonly names: readonly string[];
  /** Of each node, in the same order. */
  readonly addresses: readonly NodeTarget['addresses'][];
  readonly #byName: ReadonlyMap<string, ViewedNode>;
  readonly #checker: HealthChecker;
  #tiers: { readonly version: number; readonly tiers: Tiers<ViewedNode> } | undefined;

  /** `port` is where health is asked, 0 for nowhere. */
  constructor(nodes: readonly NodeTarget[], port: number, checker: HealthChecker) {
    this.#checker = checker;
    this.nodes = nodes.map((node) => {
      // kube-proxy serves health on IPv4 wherever the node has it, so that family is asked first.
      const host = targetHost(node, 'IPv4');
      const watched = port > 0 && host !== undefined ? checker.watch({ node: node.name, host, port }) : undefined;
      return { name: node.name, node, watched };
    });
    this.names = nodes.map((node) => node.name);
    this.addresses = nodes.map((node) => node.addresses);
    this.#byName = new Map(this.nodes.map((node) => [node.name, node]));
  }

  get(name: string): ViewedNode | undefined {
    return this.#byName.get(name);
  }

  tiers(): Tiers<ViewedNode> {
    const { version } = this.#checker;
    if (this.#tiers?.version !== version) {
      const of = (health: Watched['health']): readonly ViewedNode[] =>
        this.nodes.filter(({ watched }) => (watched?.health ?? 'healthy') === health);
      this.#tiers = {
        version,
        tiers: { healthy: of('healthy'), unchecked: of('unchecked'), unhealthy: of('unhealthy') },
      };
    }
    return this.#tiers.tiers;
  }

  health(): TargetsHealth {
    if (this.nodes.length === 0) return 'none';
    const { healthy, unchecked } = this.tiers();
    return healthy.length > 0 ? 'healthy' : unchecked.length > 0 ? 'unchecked' : 'unhealthy';
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** Asks this node again at once. */
  recheck(name: string): void {
    const watched = this.#byName.get(name)?.watched;
    if (watched) this.#checker.recheck(watched);
  }

  close(): void {
    for (const { watched } of this.nodes) if (watched) this.#checker.unwatch(watched);
  }
}

/** Hands out views; members with the policy `Cluster` over the same nodes get the same one. */
export class NodeViews {
  readonly #checker: HealthChecker;
  readonly #healthPort: number;
  readonly #shared = new Map<string, { readonly view: NodeView; users: number }>();

  constructor(checker: HealthChecker, healthPort: number) {
    this.#checker = checker;
    this.#healthPort = healthPort;
  }

  /** Returns the view and what gives it back. */
  acquire(targets: Targets): { readonly view: NodeView; readonly release: () => void } {
    if (targets.policy === 'Local') {
      const port = this.#healthPort === 0 ? 0 : (targets.healthCheckNodePort ?? this.#healthPort);
      const view = new NodeView(usableNodes(targets), port, this.#checker);
      return { view, release: () => view.close() };
    }
    const { version } = targets.nodes;
    let entry = this.#shared.get(version);
    if (!entry) {
      entry = { view: new NodeView(usableNodes(targets), this.#healthPort, this.#checker), users: 0 };
      this.#shared.set(version, entry);
    }
    const held = entry;
    held.users++;
    const release = (): void => {
      if (--held.users > 0) return;
      this.#shared.delete(version);
      held.view.close();
    };
    return { view: held.view, release };
  }
}
