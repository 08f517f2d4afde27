/** What a status says of ports is what is read back at a start: nobody gets another's port of a shared address by it. */
import { Registry } from 'prom-client';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createProxyProvider } from '#providers/proxy/index';
import { parseProxyOptions } from '#providers/proxy/options';
import { Store } from '#src/kube/store';
import type { EndpointSlice, Node, Service } from '#src/kube/wire';
import { SERVICE_CONFIG_DEFAULTS, claimRules } from '#src/service/config';
import { ServiceController } from '#src/service/controller';
import { registerServiceMetrics } from '#src/service/metrics';
import { sliceOwners } from '#src/service/ports';
import { node, service, servicePort } from '#test/fakes/builders';
import { FakeClock } from '#test/fakes/clock';
import { silentLog as log } from '#test/fakes/log';
import { ServiceApi } from '#test/fakes/service-api';

/** A proxy with one address, which opens no socket, over processes that come and go. */
class Cluster {
  readonly clock: FakeClock = new FakeClock();
  readonly api: ServiceApi = new ServiceApi(new Store<Service>({ log }));
  readonly #nodes = new Store<Node>({ log });
  readonly #slices = new Store<EndpointSlice, 'service'>({ log, indexes: { service: sliceOwners } });
  #stop = new AbortController();

  constructor() {
    this.#nodes.put(node({ metadata: { name: 'node-1' }, addresses: ['10.0.0.1'] }));
  }

  async start(): Promise<void> {
    this.#stop = new AbortController();
    const registry = new Registry();
    const options = parseProxyOptions({ 'proxy-addresses': ['192.0.2.1'], 'proxy-listen': false });
    const provider = createProxyProvider(options, { log, registry, clock: this.clock });
    const config = { ...SERVICE_CONFIG_DEFAULTS, defaultProvider: 'proxy' };
    const controller = new ServiceController({
      provider,
      rules: claimRules(config, [provider]),
      stores: { services: this.api.store, nodes: this.#nodes, endpointSlices: this.#slices },
      writer: this.api,
      events: { record() {}, recordNode() {} },
      fence() {},
      config,
      clock: this.clock,
      log,
      metrics: registerServiceMetrics(registry),
    });
    void controller.start(this.#stop.signal);
    await this.settle();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.clock.advance(10_000);
    this.api.flush();
  }

  async settle(): Promise<void> {
    await this.clock.advance(500);
  }

  /** The ports that the Service says it serves at the address, and those it says it has not. */
  portsOf(name: string): readonly string[] {
    const { status } = this.api.must(name);
    const entries = status?.loadBalancer?.ingress ?? [];
    const message = status?.conditions?.find(({ type }) => type === 'ballast.dev/Programmed')?.message ?? '';
    const words = [...message.matchAll(/\d+\/TCP/g)].map(([word]) => word);
    return entries.flatMap(({ ports }) =>
      ports ? ports.map(({ port, protocol, error }) => `${port}/${protocol}${error ? ` ${error}` : ''}`) : words,
    );
  }
}

async function started(): Promise<Cluster> {
  const cluster = new Cluster();
  onTestFinished(() => cluster.stop());
  await cluster.start();
  return cluster;
}

function named(namespace: string, name: string, ports: readonly number[], second: number): Service {
  const creationTimestamp = `2026-01-01T00:00:0${second}Z`;
  const metadata = { namespace, name, uid: `uid-${name}`, creationTimestamp };
  return service({ loadBalancerClass: null, metadata, spec: { ports: specPorts(ports) } });
}

function specPorts(ports: readonly number[]): ReturnType<typeof servicePort>[] {
  return ports.map((port, index) =>
    servicePort({ name: `p${port}`, port, nodePort: 30_100 + index * 100 + (port % 100) }),
  );
}

const OLDER = 'team-a/older';
const VICTIM = 'team-b/victim';
const MANY = Array.from({ length: 12 }, (_, index) => 8_000 + index);

describe('a younger Service’s port of a shared address', () => {
  it('stays its own over a restart when an older one asks for it while it asks nonsense', async () => {
    const cluster = await started();
    cluster.api.create(named('team-a', 'older', [80], 1));
    await cluster.settle();
    cluster.api.create(named('team-b', 'victim', [443], 5));
    await cluster.settle();
    cluster.api.annotate(OLDER, { 'ballast.dev/idle-timeout': 'soon' });
    cluster.api.edit(OLDER, { ports: specPorts([80, 443]) });
    await cluster.settle();
    for (const restart of [false, true]) {
      if (restart) {
        await cluster.stop();
        await cluster.start();
      }
      expect(cluster.portsOf(VICTIM)).toEqual(['443/TCP']);
      expect(cluster.portsOf(OLDER)).toEqual(['80/TCP', '443/TCP ballast.dev/PortConflict']);
    }
  });

  it.each([
    ['that asks nonsense', [80], { 'ballast.dev/idle-timeout': 'soon' }],
    ['with more ports than a condition names', MANY, {}],
  ] as const)('stays its own when one %s asks for it while nobody leads', async (_, ports, annotations) => {
    const cluster = await started();
    cluster.api.create(named('team-a', 'older', ports, 1));
    await cluster.settle();
    cluster.api.create(named('team-b', 'victim', [443], 5));
    await cluster.settle();
    cluster.api.annotate(OLDER, annotations);
    await cluster.settle();
    await cluster.stop();
    cluster.api.edit(OLDER, { ports: specPorts([...ports, 443]) });
    await cluster.start();
    expect(cluster.portsOf(VICTIM)).toEqual(['443/TCP']);
    const own = ports.map((port) => `${port}/TCP`);
    expect(cluster.portsOf(OLDER)).toEqual([...own, '443/TCP ballast.dev/PortConflict']);
  });
});
