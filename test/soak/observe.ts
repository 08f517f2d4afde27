/** Takes a picture of everything that the oracle judges. */
import type { EndpointSlice, Node, Service } from '#src/kube/wire';
import type { SoakCluster } from './cluster.ts';
import { leaderOf, metricOf } from './leader.ts';
import type { Operator } from './operator.ts';
import type { World } from './oracle/world.ts';
import type { Replica } from './replica.ts';
import { CLOUD_POOL, NAMESPACES, type Site } from './site.ts';
import { listeningSockets } from './sockets.ts';

interface Plan {
  readonly key: string;
  readonly leaving: readonly string[];
  readonly preparations: readonly string[];
  readonly steps: readonly { readonly summary: string }[];
}

export interface Picture {
  readonly world: World;
  /** The same text as long as nothing is written. */
  readonly fingerprint: string;
}

/** The picture, or why there is none yet. */
export async function observe(
  { plane, replicas, cloud }: SoakCluster,
  operator: Operator,
  site: Site,
): Promise<Picture | string> {
  const leader = await leaderOf(replicas);
  if (!leader) return 'Not exactly one process leads.';
  const unready = await Promise.all(
    replicas.map(async (each) => ((await each.ask('/readyz')) === undefined ? each.name : '')),
  );
  if (unready.some((name) => name !== ''))
    return `${unready.filter((name) => name !== '').join(' and ')} is not ready.`;
  const metrics = (await leader.ask('/metrics')) ?? '';
  const busy = ['workqueue_depth', 'ballast_reconcile_active_workers'].filter((name) => metricOf(metrics, name) !== 0);
  if (busy.length > 0) return `The leader is busy: ${busy.join(' and ')} is not 0.`;
  const answer = await leader.ask('/api/plan');
  if (answer === undefined) return 'The leader does not tell its plans.';
  const { plans }: { readonly plans: readonly Plan[] } = JSON.parse(answer);
  const follower = replicas.find((replica) => replica !== leader);
  const [services, nodes, slices, sockets, followerSockets] = await Promise.all([
    plane.request<{ readonly items: readonly Service[] }>('GET', '/api/v1/services'),
    plane.request<{ readonly items: readonly Node[] }>('GET', '/api/v1/nodes'),
    plane.request<{ readonly items: readonly EndpointSlice[] }>('GET', '/apis/discovery.k8s.io/v1/endpointslices'),
    socketsOf(leader, site),
    follower ? socketsOf(follower, site) : [],
  ]);
  const own = services.items.filter(({ metadata }) => NAMESPACES.includes(metadata.namespace ?? ''));
  const world: World = {
    services: own,
    nodes: nodes.items,
    slices: slices.items,
    sockets,
    followerSockets,
    cloud: cloud?.describe(),
    loadBalancers: {
      proxy: metricOf(metrics, 'ballast_load_balancers', 'provider="proxy"') ?? 0,
      cloud: metricOf(metrics, 'ballast_load_balancers', 'provider="cloud"') ?? 0,
    },
    plans: plans.flatMap(wordsOf),
    wanted: new Set(operator.intent.services.keys()),
    marks: (name) => operator.marks(name),
    pools: { proxy: site.pool, cloud: CLOUD_POOL },
    mayAskFor: (namespace, address) => site.mayAskFor(namespace, address),
  };
  const versions = own.map(({ metadata }) => `${metadata.uid} ${metadata.resourceVersion}`);
  return {
    world,
    fingerprint: [
      leader.pid,
      metricOf(metrics, 'ballast_service_writes_total'),
      JSON.stringify(world.cloud),
      ...versions,
    ].join('\n'),
  };
}

function wordsOf({ key, leaving, preparations, steps }: Plan): readonly string[] {
  return [
    ...steps.map(({ summary }) => `${key}: ${summary}`),
    ...preparations.map((text) => `${key}: ${text}`),
    ...leaving.map((name) => `${key}: let go of ${name}`),
  ];
}

/** What the process listens on, apart from its metrics. UDP sockets also send: those that wait are at our own ports. */
async function socketsOf({ pid, metricsPort }: Replica, site: Site): Promise<readonly string[]> {
  const all = pid === undefined ? [] : await listeningSockets(pid);
  return all.filter((name) => {
    if (name.endsWith('/TCP')) return name !== `127.0.0.1:${metricsPort}/TCP`;
    const [, address = '', port = ''] = /^\[?(.*?)\]?:(\d+)\/UDP$/.exec(name) ?? [];
    return site.pool.includes(address) && site.isPort(Number(port));
  });
}
