/** The process is killed at every point where it acts, and another one must bring about what an undisturbed one does. */
import { describe, expect, it } from 'vitest';
import { endpointSlice, node, service, servicePort, type ServiceOptions } from '#test/fakes/builders';
import { Rig, type RigOptions } from '#test/fakes/service-rig';
import type { Service } from '#src/kube/wire';
import { SERVICE_CONFIG_DEFAULTS } from '#src/service/config';

interface History {
  readonly options?: RigOptions;
  /** What is there and settled before. */
  readonly before: (rig: Rig) => void;
  /** What happens then. */
  readonly change: (rig: Rig) => void;
  /** What has happened by the time the next process starts, when the change itself had not come so far. */
  readonly atLast?: (rig: Rig) => void;
  /** Ports that clients can reach in the end. */
  readonly reachable: readonly string[];
}

function web(name: string, port: number, options: ServiceOptions = {}): Service {
  return service({
    loadBalancerClass: null,
    ...options,
    metadata: { name, creationTimestamp: `2026-01-01T00:00:${port % 60}Z`, ...options.metadata },
    spec: { ports: [servicePort({ port })], ...options.spec },
  });
}

const shared: ServiceOptions = { metadata: { annotations: { 'ballast.dev/load-balancer': 'shared' } } };
function joining(name: string, port: number): Service {
  return web(name, port, { metadata: { ...shared.metadata, name } });
}

const A = 'default/a';
const plain = (rig: Rig): void => void rig.api.create(web('a', 80));
const group = (rig: Rig): void => {
  rig.api.create(joining('a', 80));
  rig.api.create(joining('b', 81));
};

function deleteOnce(rig: Rig): void {
  const service = rig.api.get(A);
  if (service && service.metadata.deletionTimestamp === undefined) rig.api.delete(A);
}

const HISTORIES: Readonly<Record<string, History>> = {
  'a Service is created': { before: () => {}, change: plain, reachable: ['192.0.2.1:80/TCP'] },
  'a dual-stack Service with two ports is created': {
    before: () => {},
    change: (rig) =>
      void rig.api.create(
        web('a', 80, {
          spec: {
            ports: [servicePort(), servicePort({ port: 53, protocol: 'UDP' })],
            ipFamilies: ['IPv4', 'IPv6'],
            ipFamilyPolicy: 'RequireDualStack',
          },
        }),
      ),
    reachable: ['192.0.2.1:53/UDP', '192.0.2.1:80/TCP', '[2001:db8::1]:53/UDP', '[2001:db8::1]:80/TCP'],
  },
  'a Service without NodePorts is created': {
    before: () => {},
    change: (rig) =>
      void rig.api.create(
        web('a', 80, { spec: { allocateLoadBalancerNodePorts: false, ports: [servicePort({ nodePort: 0 })] } }),
      ),
    reachable: ['192.0.2.1:80/TCP'],
  },
  'a Service of a provider that lives in the process is created': {
    options: { provider: { capabilities: { inProcess: true } } },
    before: () => {},
    change: plain,
    reachable: ['192.0.2.1:80/TCP'],
  },
  'a port is added': {
    before: plain,
    change: (rig) => void rig.api.edit(A, { ports: [servicePort(), servicePort({ port: 81 })] }),
    reachable: ['192.0.2.1:80/TCP', '192.0.2.1:81/TCP'],
  },
  'a port is changed': {
    before: plain,
    change: (rig) => void rig.api.edit(A, { ports: [servicePort({ port: 8080 })] }),
    reachable: ['192.0.2.1:8080/TCP'],
  },
  'a node is added': {
    before: plain,
    change: (rig) => rig.putNode(node({ metadata: { name: 'node-3' }, addresses: ['10.0.0.3'] })),
    reachable: ['192.0.2.1:80/TCP'],
  },
  'all nodes go': {
    // Whoever is killed does not remember since when nodes are missing, so that the two would end at different times.
    options: { config: { nodeGuard: { ...SERVICE_CONFIG_DEFAULTS.nodeGuard, holdMs: 0 } } },
    before: plain,
    change: (rig) => rig.nodes.replace([]),
    reachable: ['192.0.2.1:80/TCP'],
  },
  'the policy becomes Local': {
    before: (rig) => {
      plain(rig);
      rig.putSlice(endpointSlice({ service: 'a' }));
    },
    change: (rig) => void rig.api.edit(A, { externalTrafficPolicy: 'Local', healthCheckNodePort: 32_000 }),
    reachable: ['192.0.2.1:80/TCP'],
  },
  'another address is asked for': {
    before: plain,
    change: (rig) => void rig.api.annotate(A, { 'ballast.dev/addresses': '192.0.2.7' }),
    reachable: ['192.0.2.7:80/TCP'],
  },
  'nonsense is asked for': {
    before: plain,
    change: (rig) => void rig.api.edit(A, { loadBalancerSourceRanges: ['nonsense'] }),
    reachable: [],
  },
  'a group is joined': {
    before: (rig) => void rig.api.create(joining('a', 80)),
    change: (rig) => void rig.api.create(joining('b', 81)),
    reachable: ['192.0.2.1:80/TCP', '192.0.2.1:81/TCP'],
  },
  'a group is left': {
    before: group,
    change: (rig) => void rig.api.annotate(A, { 'ballast.dev/load-balancer': undefined }),
    reachable: ['192.0.2.1:81/TCP', '192.0.2.2:80/TCP'],
  },
  'a load balancer of its own is left for a group': {
    before: (rig) => {
      plain(rig);
      rig.api.create(joining('b', 81));
    },
    change: (rig) => void rig.api.annotate(A, { 'ballast.dev/load-balancer': 'shared' }),
    reachable: ['192.0.2.2:80/TCP', '192.0.2.2:81/TCP'],
  },
  'a member of a group is deleted': {
    before: group,
    change: (rig) => rig.api.delete(A),
    reachable: ['192.0.2.1:81/TCP'],
  },
  'all members of a group are deleted': {
    before: group,
    change: (rig) => {
      rig.api.delete(A);
      rig.api.delete('default/b');
    },
    reachable: [],
  },
  'the type is changed': { before: plain, change: (rig) => void rig.api.edit(A, { type: 'ClusterIP' }), reachable: [] },
  'a Service is deleted': { before: plain, change: (rig) => rig.api.delete(A), reachable: [] },
  'a Service is deleted as soon as it is made': {
    before: () => {},
    change: (rig) => {
      plain(rig);
      rig.provider.beforeStep = () => deleteOnce(rig);
    },
    atLast: deleteOnce,
    reachable: [],
  },
  'another Service takes the name': {
    before: plain,
    change: (rig) => {
      rig.api.tamper(A, (each) => ({ ...each, metadata: { ...each.metadata, finalizers: [] } }));
      rig.api.delete(A);
      rig.api.create(web('a', 80, { metadata: { uid: 'another' } }));
    },
    reachable: ['192.0.2.1:80/TCP'],
  },
};

/** Everything that must be the same in the end, whatever happened on the way. */
function outcome(rig: Rig): unknown {
  const services = rig.api.list().map(({ metadata, spec, status }) => ({
    name: metadata.name,
    uid: metadata.uid,
    finalizers: metadata.finalizers,
    nodePorts: spec?.ports?.map(({ nodePort }) => nodePort),
    ingress: status?.loadBalancer,
    conditions: status?.conditions?.map((condition) => ({ ...condition, lastTransitionTime: undefined })),
  }));
  const world = rig.world.list().map((balancer) => ({
    ...balancer,
    addresses: balancer.addresses.map(({ address }) => address),
    listeners: balancer.listeners.toSorted((a, b) => a.listener.port - b.listener.port),
  }));
  return { services, world: world.toSorted((a, b) => (a.id.name < b.id.name ? -1 : 1)) };
}

/** Lets the process die at its `fatal`-th act: nothing after it happens, but whatever it had sent arrives. */
function dieAt(rig: Rig, fatal: number): () => boolean {
  let acts = 0;
  const act = (): Promise<void> | undefined => {
    acts += 1;
    return acts >= fatal ? new Promise(() => {}) : undefined;
  };
  const { beforeStep } = rig.provider;
  rig.provider.beforeStep = async (step, count) => {
    await beforeStep(step, count);
    await act();
  };
  rig.provider.afterStep = act;
  rig.api.beforeWrite = act;
  rig.api.afterWrite = act;
  return () => {
    rig.api.beforeWrite = () => {};
    rig.api.afterWrite = () => {};
    return acts >= fatal;
  };
}

async function play(
  { options, before, change, atLast }: History,
  fatal: number,
): Promise<{ died: boolean; outcome: unknown; rig: Rig }> {
  const rig = new Rig(options);
  await rig.start();
  before(rig);
  await rig.settle();
  change(rig);
  const disarm = dieAt(rig, fatal);
  await rig.settle(1_000);
  const died = disarm();
  atLast?.(rig);
  if (died) await rig.restart();
  await rig.settle(rig.config.resyncMs);
  await rig.stop();
  return { died, outcome: outcome(rig), rig };
}

describe('a process that is killed at any of its acts is made good by the next one when', () => {
  it.each(Object.entries(HISTORIES))('%s', async (_, history) => {
    const undisturbed = await play(history, Infinity);
    expect(undisturbed.rig.world.reachable().toSorted()).toEqual(history.reachable);
    let fatal = 1;
    for (let died = true; died; fatal++) {
      const attempt = await play(history, fatal);
      died = attempt.died;
      expect(attempt.outcome, `killed at act ${fatal}`).toEqual(undisturbed.outcome);
      expect(fatal).toBeLessThan(100);
    }
    expect(fatal, 'acts of the history').toBeGreaterThan(2);
  });
});
