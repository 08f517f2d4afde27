/** A real API server for the tests of one file, and short ways to say what users do with it. */
import { afterAll, beforeAll } from 'vitest';
import type { Condition, EndpointSlice, Event, KubeObject, Node, Service } from '#src/kube/wire';
import {
  ApiRequestError,
  startControlPlane,
  type ControlPlane,
  type ControlPlaneOptions,
} from '#test/control-plane/control-plane';
import type { ControllerProcess } from '#test/chaos/controller-process';
import { waitFor } from './wait.ts';

export type ServiceSpec = NonNullable<Service['spec']>;

/** What a user writes of a Service. */
export interface Manifest {
  readonly annotations?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly spec?: ServiceSpec;
}

/** The class of the provider under test. */
export const OUR_CLASS = 'ballast.dev/proxy';
export const OUR_FINALIZER = 'ballast.dev/proxy';
export const UPSTREAM_FINALIZER = 'service.kubernetes.io/load-balancer-cleanup';

/** Starts a control plane before the file's tests and stops it after them. */
export function useCluster(options: ControlPlaneOptions = {}): Cluster {
  const cluster = new Cluster();
  beforeAll(async () => {
    cluster.start(await startControlPlane(options));
  });
  afterAll(async () => {
    await cluster.stop();
  });
  return cluster;
}

export class Cluster {
  #plane: ControlPlane | undefined;
  #namespaces = 0;
  readonly #controllers: ControllerProcess[] = [];

  start(plane: ControlPlane): void {
    this.#plane = plane;
  }

  get plane(): ControlPlane {
    if (!this.#plane) throw new Error('the control plane has not been started');
    return this.#plane;
  }

  /** Controllers to end with the cluster, and whose log helps to understand a failure. */
  adopt(controller: ControllerProcess): void {
    this.#controllers.push(controller);
  }

  async stop(): Promise<void> {
    for (const controller of this.#controllers) await controller.kill();
    await this.#plane?.stop();
  }

  /** What the controllers said about something, for the message of a failed wait. */
  logAbout(text: string): string {
    const lines = this.#controllers.flatMap((controller) => controller.linesAbout(text)).slice(-15);
    return lines.length === 0 ? '' : `\nlast of the log about ${text}:\n${lines.join('\n')}`;
  }

  /** What the controllers did outside for a load balancer, as their logs say. */
  steps(key: string): readonly string[] {
    return this.#controllers
      .flatMap((controller) => controller.linesAbout(key))
      .map((line): { readonly key?: string; readonly step?: string; readonly msg?: string } => JSON.parse(line))
      .flatMap((line) => (line.key === key && line.step !== undefined && line.msg !== undefined ? line.msg : []));
  }

  /** A new, empty namespace. */
  async namespace(prefix = 'test'): Promise<Namespace> {
    this.#namespaces += 1;
    const name = `${prefix}-${this.#namespaces}`;
    await this.plane.request('POST', '/api/v1/namespaces', { metadata: { name } });
    return new Namespace(this, name);
  }

  /** A namespace that is there already. */
  existing(name: string): Namespace {
    return new Namespace(this, name);
  }

  async createNode(node: Pick<Node, 'status'> & { readonly metadata: Partial<Node['metadata']> }): Promise<void> {
    const created = await this.plane.request<Node>('POST', '/api/v1/nodes', node);
    if (node.status)
      await this.plane.request('PATCH', `/api/v1/nodes/${created.metadata.name}/status`, { status: node.status });
  }
}

export class Namespace {
  readonly cluster: Cluster;
  readonly name: string;

  constructor(cluster: Cluster, name: string) {
    this.cluster = cluster;
    this.name = name;
  }

  #path(name = ''): string {
    return `/api/v1/namespaces/${this.name}/services${name && `/${name}`}`;
  }

  /** Creates a Service `type: LoadBalancer` of our class with the port 80/TCP, unless the spec says otherwise. */
  create(name: string, { spec, ...metadata }: Manifest = {}): Promise<Service> {
    const { type = 'LoadBalancer' } = spec ?? {};
    return this.cluster.plane.request<Service>('POST', this.#path(), {
      metadata: { name, ...metadata },
      spec: {
        type,
        ...(type === 'LoadBalancer' ? { loadBalancerClass: OUR_CLASS } : {}),
        ports: [{ port: 80 }],
        selector: { app: name },
        ...spec,
      },
    });
  }

  /** Creates a Service without a `loadBalancerClass`. */
  createClassless(name: string, { spec, ...metadata }: Manifest = {}): Promise<Service> {
    return this.cluster.plane.request<Service>('POST', this.#path(), {
      metadata: { name, ...metadata },
      spec: { type: 'LoadBalancer', ports: [{ port: 80 }], selector: { app: name }, ...spec },
    });
  }

  get(name: string): Promise<Service> {
    return this.cluster.plane.request<Service>('GET', this.#path(name));
  }

  /** Undefined when there is none. */
  async find(name: string): Promise<Service | undefined> {
    try {
      return await this.get(name);
    } catch (error) {
      if (error instanceof ApiRequestError && error.status === 404) return undefined;
      throw error;
    }
  }

  /** A merge patch of the Service. */
  patch(name: string, change: object): Promise<Service> {
    return this.cluster.plane.request<Service>('PATCH', this.#path(name), change);
  }

  patchSpec(name: string, spec: object): Promise<Service> {
    return this.patch(name, { spec });
  }

  /** A strategic merge patch, as kubectl sends it. */
  patchStrategically(name: string, change: object): Promise<Service> {
    return this.cluster.plane.request<Service>(
      'PATCH',
      this.#path(name),
      change,
      'application/strategic-merge-patch+json',
    );
  }

  /** Reads the Service, changes it and writes the whole of it (PUT); again when somebody else wrote meanwhile. */
  async update(name: string, change: (service: Service) => Service): Promise<Service> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.replace(change(await this.get(name)));
      } catch (error) {
        if (!(error instanceof ApiRequestError && error.status === 409) || attempt === 10) throw error;
      }
    }
  }

  /** Like `update`, for the spec alone. */
  updateSpec(name: string, change: (spec: ServiceSpec) => ServiceSpec): Promise<Service> {
    return this.update(name, (service) => ({ ...service, spec: change(service.spec ?? {}) }));
  }

  /** Writes the whole object (PUT). */
  replace(service: Service): Promise<Service> {
    return this.cluster.plane.request<Service>('PUT', this.#path(service.metadata.name), service);
  }

  async delete(name: string): Promise<void> {
    await this.cluster.plane.request('DELETE', this.#path(name));
  }

  /** Waits until the Service is as asked; the message of a vain wait shows it and what the controller said. */
  async until(name: string, what: string, is: (service: Service) => boolean, timeoutMs?: number): Promise<Service> {
    let last: Service | undefined;
    const hint = (): string =>
      `\nService ${this.name}/${name}: ${JSON.stringify(last && { ...last, metadata: { ...last.metadata, managedFields: [] } })}` +
      this.cluster.logAbout(`${this.name}/${name}`);
    return waitFor(
      `${what} (Service ${this.name}/${name})`,
      async () => {
        last = await this.find(name);
        return last && is(last) ? last : undefined;
      },
      { timeoutMs, hint },
    );
  }

  /** Waits until the Service shows as many addresses. */
  untilAddresses(name: string, count = 1): Promise<Service> {
    return this.until(name, `${count} published address(es)`, (service) => addresses(service).length === count);
  }

  /** Waits until our controller serves the ports of the present spec. */
  untilProgrammed(name: string): Promise<Service> {
    return this.until(name, 'Programmed to be True', (service) => isProgrammed(service));
  }

  /** Waits until the API server has no such Service. */
  async untilGone(name: string, timeoutMs?: number): Promise<void> {
    await waitFor(
      `the Service ${this.name}/${name} to be gone`,
      async () => ((await this.find(name)) === undefined ? true : undefined),
      { timeoutMs, hint: () => this.cluster.logAbout(`${this.name}/${name}`) },
    );
  }

  /** Our Events about one Service, oldest first. The API server may have told something of it as well. */
  async events(service: string): Promise<readonly Event[]> {
    const list = await this.cluster.plane.request<{ readonly items: readonly Event[] }>(
      'GET',
      `/apis/events.k8s.io/v1/namespaces/${this.name}/events`,
    );
    return list.items.filter(
      ({ regarding, reportingController }) =>
        reportingController === 'ballast.dev/controller' && regarding?.kind === 'Service' && regarding.name === service,
    );
  }

  /** Waits for an event about the Service with this reason and a note that matches. */
  untilEvent(service: string, reason: string, note: RegExp = /./): Promise<Event> {
    return waitFor(
      `an event ${reason} (${String(note)}) about ${this.name}/${service}`,
      async () => (await this.events(service)).find((event) => event.reason === reason && note.test(event.note ?? '')),
      { hint: () => this.cluster.logAbout(`${this.name}/${service}`) },
    );
  }

  /** What the controllers did outside for the Service's own load balancer, in words, oldest first. */
  steps(service: string): readonly string[] {
    return this.cluster.steps(`service/${this.name}/${service}`);
  }

  /** Waits until the controllers have taken so many steps whose words match. */
  async untilSteps(service: string, words: RegExp, count: number): Promise<void> {
    await waitFor(
      `${count} steps ${String(words)} for ${this.name}/${service}`,
      () => (this.steps(service).filter((step) => words.test(step)).length >= count ? true : undefined),
      { hint: () => `\nsteps so far:\n${this.steps(service).join('\n')}` },
    );
  }

  createSlice(slice: EndpointSlice): Promise<KubeObject> {
    const { metadata, ...rest } = slice;
    const { name, labels } = metadata;
    return this.cluster.plane.request<KubeObject>(
      'POST',
      `/apis/discovery.k8s.io/v1/namespaces/${this.name}/endpointslices`,
      { ...rest, metadata: { name, labels } },
    );
  }
}

/** The addresses that the Service's status shows. */
export function addresses(service: Service): readonly string[] {
  return (service.status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => ip ?? []);
}

/** One of our conditions: `Accepted`, `Programmed` or `Ready`. */
export function condition(service: Service, type: string): Condition | undefined {
  return service.status?.conditions?.find((each) => each.type === `ballast.dev/${type}`);
}

/**
 * Whether our controller says that all is as asked, and means the ports of the present spec: Services have no
 * `metadata.generation`, so the condition's text has to tell.
 */
export function isProgrammed(service: Service): boolean {
  const { status, message } = condition(service, 'Programmed') ?? {};
  const ports = (service.spec?.ports ?? []).map(({ port, protocol }) => `${port}/${protocol}`).join(', ');
  const expected = `Serves ${ports} at ${addresses(service).join(', ')}.`;
  return status === 'True' && message === expected && !nodePorts(service).includes(0);
}

export function nodePorts(service: Service): readonly number[] {
  return (service.spec?.ports ?? []).map(({ nodePort }) => nodePort ?? 0);
}

/** The status and message of a request that must be refused. */
export async function refusal(
  request: Promise<unknown>,
): Promise<{ readonly status: number; readonly message: string }> {
  try {
    await request;
  } catch (error) {
    if (error instanceof ApiRequestError) return { status: error.status, message: error.message };
    throw error;
  }
  throw new Error('the API server accepted what it was expected to refuse');
}
