/** Carries out operations as users would: straight at the API server, again and again until it takes them. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { EndpointSlice, Node, Service } from '#src/kube/wire';
import { ApiRequestError, type ControlPlane, type HttpMethod } from '#test/control-plane/control-plane';
import { after, makesSense, NOTHING, type Intent } from './intent.ts';
import type { Asked, EndpointState, NodeState, Operation, Tampering } from './script.ts';
import { specOf } from './service-spec.ts';
import { CLASSES, FOREIGN_ADDRESS, FOREIGN_CONDITION, FOREIGN_FINALIZER, type Site } from './site.ts';

const PREFIX = 'ballast.dev/';
const UPSTREAM_FINALIZER = 'service.kubernetes.io/load-balancer-cleanup';
/** How long an operation is tried: longer than the API server is ever away. */
const PATIENCE_MS = 300_000;
const RETRY_MS = 100;

/** An operation that the cluster did not take; the round ends with it. */
export class OperationError extends Error {
  override readonly name = 'OperationError';
}

export class Operator {
  readonly #plane: ControlPlane;
  readonly #site: Site;
  #intent: Intent = NOTHING;
  readonly #marks = new Map<string, Marks>();

  constructor(plane: ControlPlane, site: Site) {
    this.#plane = plane;
    this.#site = site;
  }

  /** What the users want by now. */
  get intent(): Intent {
    return this.#intent;
  }

  /** What another user has left on the Service. */
  marks(name: string): Marks {
    return this.#marks.get(name) ?? UNMARKED;
  }

  /** Resolves when the API server has taken it, or it makes no sense. Throws an OperationError when it does not take it. */
  async carryOut(operation: Operation): Promise<void> {
    if (!makesSense(this.#intent, operation)) return;
    this.#intent = after(this.#intent, operation);
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      try {
        return await this.#try(operation);
      } catch (error) {
        // The API server may be away, somebody else may have written, or the old object not be gone yet.
        const passes =
          !(error instanceof ApiRequestError) || [404, 409, 429].includes(error.status) || error.status >= 500;
        if (!passes || performance.now() > deadline) {
          const reason = error instanceof Error ? error.message : String(error);
          throw new OperationError(`${JSON.stringify(operation)} did not succeed: ${reason}`, { cause: error });
        }
        await sleep(RETRY_MS);
      }
    }
  }

  async #try(operation: Operation): Promise<void> {
    switch (operation.do) {
      case 'create':
        return this.#create(operation.service, operation.asked);
      case 'recreate':
        await this.#delete(operation.service);
        return this.#create(operation.service, operation.asked);
      case 'edit': {
        const asked = this.#intent.services.get(operation.service);
        if (asked) await this.#edit(operation.service, asked);
        return;
      }
      case 'delete':
        return this.#delete(operation.service);
      case 'tamper':
        return this.#tamper(operation.service, operation.what);
      case 'node':
        return this.#node(operation.node, operation.state);
      case 'endpoints':
        return this.#endpoints(operation.service, operation.endpoints);
    }
  }

  async #create(name: string, asked: Asked): Promise<void> {
    const [namespace = '', own = ''] = name.split('/');
    // A foreign finalizer would keep the name for as long as its owner likes; here the owner goes when it is needed.
    const present = await this.#find<Service>(servicePath(name));
    if (present?.metadata.finalizers?.includes(FOREIGN_FINALIZER)) await this.#tamper(name, 'foreign-finalizer-off');
    await this.#plane.request('POST', `/api/v1/namespaces/${namespace}/services`, {
      metadata: { name: own, annotations: this.#annotations(asked) },
      spec: specOf(asked, this.#site, undefined),
    });
    this.#marks.delete(name);
  }

  async #edit(name: string, asked: Asked): Promise<void> {
    const service = await this.#plane.request<Service>('GET', servicePath(name));
    const annotations = { ...foreignAnnotations(service), ...this.#annotations(asked) };
    const metadata = { ...service.metadata, annotations };
    await this.#plane.request('PUT', servicePath(name), {
      ...service,
      metadata,
      spec: specOf(asked, this.#site, service.spec),
    });
    // The API server takes the addresses away with the type.
    if (asked.type !== 'LoadBalancer') this.#marks.set(name, { ...this.marks(name), ingress: false });
  }

  #annotations({ annotations }: Asked): Record<string, string> {
    return Object.fromEntries(
      Object.entries(annotations).map(([key, value]) => [`${PREFIX}${key}`, this.#site.text(value)]),
    );
  }

  async #delete(name: string): Promise<void> {
    const service = await this.#find<Service>(servicePath(name));
    if (service && service.metadata.deletionTimestamp === undefined) await this.#request('DELETE', servicePath(name));
  }

  async #tamper(name: string, what: Tampering): Promise<void> {
    const service = await this.#find<Service>(servicePath(name));
    if (!service) return;
    const patch = tampered(service, what);
    if (!patch) return;
    const path = 'status' in patch ? `${servicePath(name)}/status` : servicePath(name);
    const { resourceVersion } = service.metadata;
    try {
      await this.#plane.request('PATCH', path, { ...patch, metadata: { ...patch.metadata, resourceVersion } });
      this.#marks.set(name, markedBy(this.marks(name), what, service));
    } catch (error) {
      // A status that its type does not allow is refused: the other user gives up.
      if (!(error instanceof ApiRequestError && error.status === 422)) throw error;
    }
  }

  async #node(name: string, state: NodeState | undefined): Promise<void> {
    const path = `/api/v1/nodes/${name}`;
    const present = await this.#find<Node>(path);
    if (!state) {
      if (present) await this.#request('DELETE', path);
      return;
    }
    const object = {
      metadata: {
        name,
        labels: state.excluded ? { 'node.kubernetes.io/exclude-from-external-load-balancers': 'true' } : {},
      },
      spec: { taints: state.tainted ? [{ key: 'ToBeDeletedByClusterAutoscaler', effect: 'NoSchedule' }] : [] },
      status: {
        addresses: [{ type: 'InternalIP', address: this.#site.nodeAddress(state.address) }],
        conditions: [{ type: 'Ready', status: state.ready ? 'True' : 'False' }],
      },
    };
    if (!present) await this.#plane.request('POST', '/api/v1/nodes', object);
    else await this.#plane.request('PUT', path, object);
    await this.#plane.request('PATCH', `${path}/status`, { status: object.status });
  }

  async #endpoints(name: string, endpoints: readonly EndpointState[] | undefined): Promise<void> {
    const [namespace = '', own = ''] = name.split('/');
    const collection = `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`;
    const present = await this.#find<EndpointSlice>(`${collection}/${own}`);
    if (!endpoints) {
      if (present) await this.#request('DELETE', `${collection}/${own}`);
      return;
    }
    const slice = {
      metadata: { name: own, labels: { 'kubernetes.io/service-name': own } },
      addressType: 'IPv4',
      endpoints: endpoints.map(({ node, ready, serving }, index) => ({
        addresses: [`10.244.0.${index + 1}`],
        nodeName: node,
        conditions: { ready, serving, terminating: !ready },
      })),
      ports: [{ port: 8080 }],
    };
    if (present) await this.#plane.request('PUT', `${collection}/${own}`, slice);
    else await this.#plane.request('POST', collection, slice);
  }

  /** For deletions: that it is gone already is success. */
  async #request(method: HttpMethod, path: string): Promise<void> {
    try {
      await this.#plane.request(method, path);
    } catch (error) {
      if (!(error instanceof ApiRequestError && error.status === 404)) throw error;
    }
  }

  async #find<T>(path: string): Promise<T | undefined> {
    try {
      return await this.#plane.request<T>('GET', path);
    } catch (error) {
      if (error instanceof ApiRequestError && error.status === 404) return undefined;
      throw error;
    }
  }
}

/** What somebody else has put on a Service, and Ballast must leave there. */
export interface Marks {
  readonly condition: boolean;
  readonly finalizer: boolean;
  /** Only where the Service is another controller's. */
  readonly ingress: boolean;
}

const UNMARKED: Marks = { condition: false, finalizer: false, ingress: false };

function markedBy(marks: Marks, what: Tampering, { spec }: Service): Marks {
  switch (what) {
    case 'status-gone':
      return { ...marks, condition: false, ingress: false };
    case 'conditions-gone':
      return { ...marks, condition: false };
    case 'ingress-gone':
      return { ...marks, ingress: false };
    case 'condition-foreign':
      return { ...marks, condition: true };
    case 'ingress-foreign':
      return { ...marks, ingress: spec?.loadBalancerClass === CLASSES.foreign };
    case 'foreign-finalizer-on':
      return { ...marks, finalizer: true };
    case 'foreign-finalizer-off':
      return { ...marks, finalizer: false };
    default:
      return marks;
  }
}

function servicePath(name: string): string {
  const [namespace, own] = name.split('/');
  return `/api/v1/namespaces/${namespace}/services/${own}`;
}

function foreignAnnotations({ metadata }: Service): Record<string, string> {
  return Object.fromEntries(Object.entries(metadata.annotations ?? {}).filter(([key]) => !key.startsWith(PREFIX)));
}

interface Tamper {
  readonly metadata?: { readonly finalizers: readonly string[] | null };
  readonly status?: object;
}

function tampered({ metadata, status }: Service, what: Tampering): Tamper | undefined {
  const { finalizers = [] } = metadata;
  const conditions = status?.conditions ?? [];
  switch (what) {
    case 'status-gone':
      return { status: { loadBalancer: null, conditions: null } };
    case 'ingress-gone':
      return { status: { loadBalancer: { ingress: null } } };
    case 'ingress-foreign':
      return { status: { loadBalancer: { ingress: [{ ip: FOREIGN_ADDRESS, ipMode: 'VIP' }] } } };
    case 'conditions-gone':
      return { status: { conditions: null } };
    case 'condition-false': {
      const broken = { status: 'False', reason: 'Broken', message: 'Somebody else says so.' };
      const isOurs = (type: string): boolean => type.startsWith(PREFIX);
      return { status: { conditions: conditions.map((each) => (isOurs(each.type) ? { ...each, ...broken } : each)) } };
    }
    case 'condition-foreign': {
      const now = new Date().toISOString();
      const foreign = { type: FOREIGN_CONDITION, status: 'True', reason: 'Seen', message: '', lastTransitionTime: now };
      return { status: { conditions: [...conditions.filter(({ type }) => type !== FOREIGN_CONDITION), foreign] } };
    }
    case 'finalizers-gone':
      return {
        metadata: {
          finalizers: finalizers.filter((each) => !each.startsWith(PREFIX) && each !== UPSTREAM_FINALIZER),
        },
      };
    case 'foreign-finalizer-on':
      if (metadata.deletionTimestamp !== undefined) return undefined;
      return { metadata: { finalizers: [...new Set([...finalizers, FOREIGN_FINALIZER])] } };
    default:
      return { metadata: { finalizers: finalizers.filter((each) => each !== FOREIGN_FINALIZER) } };
  }
}
