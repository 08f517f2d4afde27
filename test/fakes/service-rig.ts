/** A Service controller on real stores, with the API server and the outside world in memory and the clock in hand. */
import { Registry } from 'prom-client';
import { Store } from '#src/kube/store';
import type { EndpointSlice, Node, Service } from '#src/kube/wire';
import { SERVICE_CONFIG_DEFAULTS, claimRules, type ServiceConfig } from '#src/service/config';
import { ServiceController } from '#src/service/controller';
import { registerServiceMetrics } from '#src/service/metrics';
import { keyName, sliceOwners, type EventSink, type Fence } from '#src/service/ports';
import type { Claimant } from '#src/loadbalancer/claim';
import { node } from './builders.ts';
import { FakeClock } from './clock.ts';
import { captureLog, type CapturedLog } from './log.ts';
import { RecordingProvider, type RecordingOptions } from './recording-provider.ts';
import { RecordingWorld } from './recording-world.ts';
import { ServiceApi } from './service-api.ts';

export interface RigOptions {
  readonly config?: Partial<ServiceConfig>;
  readonly provider?: RecordingOptions;
  /** Further providers of the process; their controllers are not run. */
  readonly others?: readonly Claimant[];
  /** Nodes to begin with; `node-1` and `node-2` by default. */
  readonly nodes?: readonly Node[];
  /** The cluster of another rig, so that two controllers work on it. */
  readonly cluster?: Rig;
  /** Where events go instead of being recorded by the rig. */
  readonly events?: EventSink;
  /** From 0 to below 1, for choosing NodePorts; always 0 by default. */
  readonly random?: () => number;
}

export interface RecordedEvent {
  readonly service: string;
  readonly type: string;
  readonly reason: string;
  readonly message: string;
}

export interface RecordedNodeEvent {
  readonly name: string;
  readonly type: string;
  readonly reason: string;
  readonly message: string;
}

const TWO_NODES = [1, 2].map((number) =>
  node({ metadata: { name: `node-${number}` }, addresses: [`10.0.0.${number}`] }),
);

export class Rig {
  readonly clock: FakeClock = new FakeClock();
  readonly captured: CapturedLog = captureLog();
  readonly world: RecordingWorld;
  readonly nodes: Store<Node>;
  readonly slices: Store<EndpointSlice, 'service'>;
  readonly api: ServiceApi;
  readonly events: RecordedEvent[] = [];
  readonly nodeEvents: RecordedNodeEvent[] = [];
  readonly config: ServiceConfig;
  provider: RecordingProvider;
  /** Of the metrics of the present controller. */
  registry: Registry = new Registry();
  controller: ServiceController;
  fence: Fence = () => {};
  readonly #options: RigOptions;
  #version = 1;
  #stop = new AbortController();
  #ended = true;

  constructor(options: RigOptions = {}) {
    const { log } = this.captured;
    const { cluster } = options;
    this.#options = options;
    this.world = options.provider?.world ?? new RecordingWorld();
    this.nodes = cluster?.nodes ?? new Store<Node>({ log });
    this.slices = cluster?.slices ?? new Store<EndpointSlice, 'service'>({ log, indexes: { service: sliceOwners } });
    this.api = cluster?.api ?? new ServiceApi(new Store<Service>({ log }));
    this.config = {
      ...SERVICE_CONFIG_DEFAULTS,
      addressGrants: [{ addresses: '*', namespaces: '*' }],
      defaultProvider: 'recording',
      ...options.config,
    };
    if (!cluster) for (const each of options.nodes ?? TWO_NODES) this.nodes.put(each);
    this.provider = this.#newProvider();
    this.controller = this.#newController();
  }

  /** Starts the controller and lets it do what there is to do. */
  async start(): Promise<void> {
    this.#stop = new AbortController();
    this.#ended = false;
    const onEnd = (): void => {
      this.#ended = true;
    };
    this.controller.start(this.#stop.signal).then(onEnd, onEnd);
    await this.settle();
  }

  /** Whether the controller has come to its end, and left nothing running. */
  get ended(): boolean {
    return this.#ended;
  }

  /**
   * Ends the controller; what it had in memory is lost, the cluster and the world stay. One that hangs is left behind,
   * as by a process that is killed.
   */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.clock.advance(10_000);
  }

  /** Another process takes over. Hooks are those of a new provider. */
  async restart(): Promise<void> {
    await this.stop();
    this.api.flush();
    this.provider = this.#newProvider();
    this.controller = this.#newController();
    await this.start();
  }

  /** Lets the controller work for this long; by default less than a failed key waits. */
  async settle(ms = 200): Promise<void> {
    await this.clock.advance(ms);
  }

  /** A node as the watch brings it: each time another version. */
  putNode(each: Node): void {
    this.nodes.put({ ...each, metadata: { ...each.metadata, resourceVersion: String(++this.#version) } });
  }

  putSlice(each: EndpointSlice): void {
    this.slices.put({ ...each, metadata: { ...each.metadata, resourceVersion: String(++this.#version) } });
  }

  /** The reasons of the events about a Service, oldest first. */
  told(service = 'default/web'): readonly string[] {
    return this.events.filter((event) => event.service === service).map(({ reason }) => reason);
  }

  /** `status reason` of our condition of the Service. */
  condition(name: string, type: 'Accepted' | 'Programmed' | 'Ready'): string | undefined {
    const condition = this.api.get(name)?.status?.conditions?.find((each) => each.type === `ballast.dev/${type}`);
    return condition && `${condition.status} ${condition.reason}`;
  }

  message(name: string, type: 'Accepted' | 'Programmed' | 'Ready'): string {
    const conditions = this.api.get(name)?.status?.conditions ?? [];
    return conditions.find((each) => each.type === `ballast.dev/${type}`)?.message ?? '';
  }

  #newProvider(): RecordingProvider {
    return new RecordingProvider({ ...this.#options.provider, world: this.world });
  }

  #newController(): ServiceController {
    this.registry = new Registry();
    const { provider, config, clock, api, captured } = this;
    return new ServiceController({
      provider,
      rules: claimRules(config, [provider, ...(this.#options.others ?? [])]),
      stores: { services: api.store, nodes: this.nodes, endpointSlices: this.slices },
      writer: api,
      events: this.#options.events ?? {
        record: (service, type, reason, message) =>
          void this.events.push({ service: keyName(service), type, reason, message }),
        recordNode: (name, type, reason, message) => void this.nodeEvents.push({ name, type, reason, message }),
      },
      fence: () => this.fence(),
      config,
      clock,
      log: captured.log,
      metrics: registerServiceMetrics(this.registry),
      now: () => new Date(Date.UTC(2026, 0, 1) + clock.now()),
      random: this.#options.random ?? (() => 0),
    });
  }
}
