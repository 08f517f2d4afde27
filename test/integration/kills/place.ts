import type { Node, Service, ServicePort } from '#src/kube/wire';
import type { Cluster, Namespace, ServiceSpec } from '../service/cluster.ts';
import { waitFor } from '../service/wait.ts';
import type { Outside } from './outside.ts';
import { checkScene, inFull, type Port, type Scene } from './scene.ts';

export interface PlaceParts {
  readonly cluster: Cluster;
  readonly namespace: Namespace;
  readonly outside: Outside;
  readonly provider: string;
  readonly loadBalancerClass: string;
  /** Rejects when waiting makes no sense any more. */
  readonly lost: Promise<never>;
  /** What helps to understand a wait that was in vain. */
  readonly hint: () => string;
}

/** The nodes of every lane. */
const NODES: readonly string[] = ['node-1', 'node-2'];

/** For a machine that does ten other things: whatever is to happen does so within seconds on an idle one. */
const PATIENCE = { timeoutMs: 240_000, intervalMs: 25 } as const;

/** Where one case plays: a namespace of its own in the cluster of its lane. */
export class Place {
  readonly namespace: Namespace;
  readonly outside: Outside;
  readonly provider: string;
  /** UIDs of all Services that were ever made here, and their names. */
  readonly uids: Map<string, string> = new Map();
  readonly #parts: PlaceParts;

  constructor(parts: PlaceParts) {
    this.#parts = parts;
    this.namespace = parts.namespace;
    this.outside = parts.outside;
    this.provider = parts.provider;
  }

  /** What every lane starts with. */
  static async createNodes(cluster: Cluster): Promise<void> {
    for (const name of NODES) await createNode(cluster, name);
  }

  /** Creates a Service of the provider's class, or of none: the provider is the default as well. */
  async create(name: string, ports: readonly Port[], options: CreateOptions = {}): Promise<void> {
    const { group, isClassless = false, spec } = options;
    const manifest = {
      ...(group !== undefined && { annotations: { 'ballast.dev/load-balancer': group } }),
      spec: { ports: portsOf(ports), ...spec },
    };
    const { loadBalancerClass } = this.#parts;
    const created = isClassless
      ? await this.namespace.createClassless(name, manifest)
      : await this.namespace.create(name, { ...manifest, spec: { loadBalancerClass, ...manifest.spec } });
    this.uids.set(created.metadata.uid, name);
  }

  async setPorts(name: string, ports: readonly Port[]): Promise<void> {
    await this.namespace.patchSpec(name, { ports: portsOf(ports) });
  }

  /** Null leaves the group. */
  async setGroup(name: string, group: string | null): Promise<void> {
    await this.namespace.patch(name, { metadata: { annotations: { 'ballast.dev/load-balancer': group } } });
  }

  addNode(name: string): Promise<void> {
    return createNode(this.#parts.cluster, name);
  }

  async removeNode(name: string): Promise<void> {
    await this.#parts.cluster.plane.request('DELETE', `/api/v1/nodes/${name}`);
  }

  /** InternalIPs, sorted. */
  nodeAddresses(names: readonly string[] = NODES): readonly string[] {
    return names.map(addressOfNode).toSorted();
  }

  /** The Services of the namespace by name. */
  async services(): Promise<ReadonlyMap<string, Service>> {
    const path = `/api/v1/namespaces/${this.namespace.name}/services`;
    const { items } = await this.#parts.cluster.plane.request<{ readonly items: readonly Service[] }>('GET', path);
    return new Map(items.map((service) => [service.metadata.name, service]));
  }

  /** Waits until everything is as the scene says, or until `isOver`. `where` is for the message of a vain wait. */
  async until(scene: Scene, where: string, isOver: () => boolean = () => false): Promise<void> {
    await this.wait(`everything to be as it must be, ${where},`, async () => {
      if (!isOver()) await checkScene(scene, this);
    });
  }

  /** Waits until the check does not throw. */
  async wait(what: string, check: () => Promise<void>): Promise<void> {
    const { hint, lost } = this.#parts;
    const passes = (): Promise<true> => check().then(() => true);
    await Promise.race([waitFor(`${what} in ${this.namespace.name}`, passes, { ...PATIENCE, hint }), lost]);
  }

  /** Deletes all Services and added nodes and waits until nothing is left of them, inside and outside. */
  async clear(where: string): Promise<void> {
    for (const name of (await this.services()).keys()) await this.namespace.delete(name);
    const { items } = await this.#parts.cluster.plane.request<{ readonly items: readonly Node[] }>(
      'GET',
      '/api/v1/nodes',
    );
    for (const { metadata } of items) if (!NODES.includes(metadata.name)) await this.removeNode(metadata.name);
    await this.until({ loadBalancers: {} }, `${where}, all deleted`);
    await this.wait(`nothing to be left outside, ${where},`, async () => {
      const left = await this.outside.describe();
      if (left.length > 0) throw new Error(`orphans: ${JSON.stringify(left)}`);
    });
  }
}

export interface CreateOptions {
  /** The load balancer that it shares. */
  readonly group?: string;
  readonly isClassless?: boolean;
  readonly spec?: ServiceSpec;
}

/** Named, so that the API server keeps their NodePorts through a change. */
function portsOf(ports: readonly Port[]): readonly ServicePort[] {
  return ports.map((each) => {
    const [port = '', protocol = ''] = inFull(each).split('/');
    return { name: `p${port}`, port: Number(port), protocol };
  });
}

/** `node-3` has 10.0.0.3. */
function addressOfNode(name: string): string {
  return name.replace('node-', '10.0.0.');
}

async function createNode(cluster: Cluster, name: string): Promise<void> {
  const addresses = [{ type: 'InternalIP', address: addressOfNode(name) }];
  await cluster.createNode({ metadata: { name }, status: { addresses } });
}
