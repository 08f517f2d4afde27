/** The controller in this process, whose way to the API server leads through a fault proxy of its own. */
import { isDeepStrictEqual } from 'node:util';
import { Registry } from 'prom-client';
import { findCluster } from '#src/cli/cluster';
import { runProcess } from '#src/cli/controller/process';
import { loadConfig } from '#src/config';
import type { Service } from '#src/kube/wire';
import { parseKey } from '#src/loadbalancer/identity';
import { proxyApiServer } from '#test/chaos/api-server';
import type { FaultProxy } from '#test/chaos/fault-proxy';
import { captureLog, type CapturedLog } from '#test/fakes/log';
import { RecordingProvider } from '#test/fakes/recording-provider';
import { addresses, isProgrammed, type Cluster, type Manifest, type Namespace } from '../service/cluster.ts';
import { waitFor } from '../service/wait.ts';

export interface ReplicaOptions {
  /** Flags of `ballast controller` without their dashes. */
  readonly flags?: Readonly<Record<string, string>>;
}

/** As long as a slow machine may take for what takes a moment, once nothing is in its way. */
const PATIENCE_MS = 60_000;

let replicas = 0;

/** Starts a controller whose provider and class no other has, so that many share one control plane. */
export async function startReplica(cluster: Cluster, options: ReplicaOptions = {}): Promise<Replica> {
  replicas += 1;
  const provider = new RecordingProvider({ name: `recording-${replicas}` });
  const { proxy, kubeconfigPath } = await proxyApiServer(cluster.plane);
  const { name, loadBalancerClass } = provider;
  const { config } = await loadConfig({
    flags: {
      kubeconfig: kubeconfigPath,
      providers: [name],
      'leader-elect': 'false',
      'metrics-bind-address': '0',
      ...options.flags,
    },
    env: {},
    providers: [{ name, loadBalancerClass, options: [] }],
  });
  const log = captureLog();
  const registry = new Registry();
  const found = await findCluster(config, { env: {}, version: 'test' }, registry);
  const stop = new AbortController();
  const input = { config, cluster: found, providers: [provider], log: log.log, registry };
  const ended = runProcess(input, stop.signal);
  // Looked at when it is ended.
  ended.catch(() => {});
  const namespace = await cluster.namespace('faults');
  return new Replica({ proxy, provider, log, namespace, stop, ended });
}

interface Parts {
  readonly proxy: FaultProxy;
  readonly provider: RecordingProvider;
  readonly log: CapturedLog;
  readonly namespace: Namespace;
  readonly stop: AbortController;
  readonly ended: Promise<void>;
}

export class Replica implements AsyncDisposable {
  readonly proxy: FaultProxy;
  readonly provider: RecordingProvider;
  readonly log: CapturedLog;
  /** Where its Services are. */
  readonly namespace: Namespace;
  readonly #stop: AbortController;
  readonly #ended: Promise<void>;

  constructor({ proxy, provider, log, namespace, stop, ended }: Parts) {
    this.proxy = proxy;
    this.provider = provider;
    this.log = log;
    this.namespace = namespace;
    this.#stop = stop;
    this.#ended = ended;
  }

  /** `namespace/name`. */
  nameOf(service: string): string {
    return `${this.namespace.name}/${service}`;
  }

  /** Creates a Service of this replica's class, by a way that has no faults. */
  create(name: string, { spec, ...metadata }: Manifest = {}): Promise<Service> {
    return this.namespace.create(name, {
      ...metadata,
      spec: { loadBalancerClass: this.provider.loadBalancerClass, ...spec },
    });
  }

  /** Waits until the Service has what it asks for. */
  async untilServed(name: string): Promise<Service> {
    try {
      return await this.namespace.until(name, 'Programmed to be True', isProgrammed, PATIENCE_MS);
    } catch (error) {
      throw new Error(`${error instanceof Error ? error.message : String(error)}\n${this.#lately()}`, { cause: error });
    }
  }

  async createServed(...names: readonly string[]): Promise<void> {
    for (const name of names) await this.create(name);
    for (const name of names) await this.untilServed(name);
  }

  /** How often an address was taken or given back for the Service. */
  timesTaken(service: string): { readonly taken: number; readonly given: number } {
    const count = (words: RegExp): number => this.provider.applied.filter((step) => words.test(step)).length;
    const name = this.nameOf(service);
    return { taken: count(new RegExp(`^take .* for ${name}$`)), given: count(new RegExp(`^give .* of ${name} back$`)) };
  }

  /**
   * Waits until all is quiet, deletes the Services, waits again, and gives what was wrong, in words: each of these
   * Services and nothing else has a load balancer, at the address that its status shows, taken once and never given
   * back; with them goes everything.
   */
  async settle(...services: readonly string[]): Promise<readonly string[]> {
    const { world } = this.provider;
    const wrong: string[] = [];
    for (const name of services) wrong.push(...this.#check(await this.untilServed(name)));
    const all = world.list().map(({ id }) => id.name);
    if (all.length !== services.length) wrong.push(`instead of ${services.join()} there are ${all.join()}`);
    for (const name of services) await this.namespace.delete(name);
    for (const name of services) await this.namespace.untilGone(name, PATIENCE_MS);
    wrong.push(...world.list().map(({ id }) => `left behind: ${id.name}`));
    wrong.push(...this.log.lines.filter(({ level }) => level === 'error').map((line) => JSON.stringify(line)));
    return wrong;
  }

  #check(service: Service): readonly string[] {
    const { name, finalizers } = service.metadata;
    const outside = this.provider.world.get(parseKey(`service/${this.nameOf(name)}`));
    const checks: readonly [what: string, found: unknown, expected: unknown][] = [
      ['addresses', outside?.addresses.map(({ address }) => address), addresses(service)],
      ['ports', outside?.listeners.map(({ listener }) => listener.port), [80]],
      ['finalizers', finalizers, [`ballast.dev/${this.provider.name}`]],
      ['addresses taken and given back', this.timesTaken(name), { taken: 1, given: 0 }],
    ];
    return checks
      .filter(([, found, expected]) => !isDeepStrictEqual(found, expected))
      .map(
        ([what, found, expected]) => `${what} of ${name}: ${JSON.stringify(found)}, not ${JSON.stringify(expected)}`,
      );
  }

  /** Waits for something that the replica does. */
  until(what: string, is: () => boolean): Promise<true> {
    return waitFor(what, () => (is() ? true : undefined), {
      timeoutMs: PATIENCE_MS,
      hint: () => `\n${this.#lately()}`,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.proxy.thaw();
    this.proxy.release();
    await this.#ended;
    await this.proxy.close();
  }

  #lately(): string {
    const requests = this.proxy.exchanges
      .slice(-15)
      .map(({ method, path, status = '…' }) => `${method} ${path} → ${status}`);
    const lines = this.log.lines.slice(-15).map((line) => JSON.stringify(line));
    return ['last requests:', ...requests, 'last of the log:', ...lines].join('\n');
  }
}
