/** What must exist in the small cloud: everything that is asked for, once, as it is asked for, and nothing else. */
import { isDeepStrictEqual } from 'node:util';
import type { CloudTargetGroup } from '#test/chaos/cloud';
import type { Outcome } from './judge.ts';
import { nodesFor, type EligibleNodes } from './nodes.ts';
import type { RequestedPort } from './request.ts';
import type { World } from './world.ts';

/** Kubernetes' own default for `sessionAffinity: ClientIP`. */
const AFFINITY_SECONDS = 10_800;

export function checkCloud(outcomes: readonly Outcome[], world: World, eligible: EligibleNodes): readonly string[] {
  const { cloud } = world;
  if (!cloud) return [];
  const { balancers, targetGroups, listeners } = cloud;
  const served = outcomes.filter(({ addresses }) => addresses.length > 0);
  const wanted = Map.groupBy(served, ({ request }) => request.key);
  const complaints: string[] = [];

  for (const [key, own] of wanted) {
    const present = balancers.filter(({ owner }) => owner === key);
    if (present.length !== 1)
      complaints.push(`The cloud has ${present.length} load balancers of ${key}; right is one.`);
    const addresses = [...new Set(own.flatMap((each) => each.addresses))].toSorted();
    const members = own.map(({ request }) => request.service.metadata.uid).toSorted();
    for (const balancer of present) {
      complaints.push(...compare(`The address of ${key} in the cloud`, balancer.addresses, addresses));
      complaints.push(...compare(`The tag of ${key} in the cloud`, balancer.members.toSorted(), members));
    }
    for (const { ports, request } of own) {
      const lacking = ports.filter((port) => !targetGroups.some((each) => isOf(each, key, request, port)));
      complaints.push(...lacking.map((port) => `The cloud lacks ${port.key} of ${request.name}.`));
    }
  }
  complaints.push(
    ...balancers
      .filter(({ owner }) => !wanted.has(owner))
      .map(({ id, owner }) => `The cloud has ${id} of ${owner}, though nobody asks for it.`),
  );
  for (const targetGroup of targetGroups) {
    const { id, owner, port, protocol } = targetGroup;
    const name = `${id} (${port}/${protocol} of ${owner})`;
    const claim = (wanted.get(owner) ?? []).flatMap((outcome) =>
      outcome.ports
        .filter((each) => isOf(targetGroup, owner, outcome.request, each))
        .map((port) => ({ outcome, port })),
    )[0];
    if (!claim) complaints.push(`The cloud has ${name}, though nobody asks for it.`);
    else complaints.push(...checkContent(name, targetGroup, claim.outcome, claim.port, { world, eligible }));
    const own = listeners.filter((each) => each.targetGroup === id);
    const isReached = own.every(({ balancer }) =>
      balancers.some((each) => each.id === balancer && each.owner === owner),
    );
    if (own.length !== 1 || !isReached)
      complaints.push(`${name} has ${own.length} listeners; right is one of ${owner}.`);
  }
  const known = new Set(targetGroups.map(({ id }) => id));
  const lost = listeners.filter(({ targetGroup }) => !known.has(targetGroup));
  return [...complaints, ...lost.map(({ id }) => `The cloud has ${id}, which leads nowhere.`)];
}

function isOf(
  { owner, member, port, protocol }: CloudTargetGroup,
  key: string,
  { service }: Outcome['request'],
  wanted: RequestedPort,
): boolean {
  return owner === key && member === service.metadata.uid && port === wanted.port && protocol === wanted.protocol;
}

interface Config {
  readonly trafficPolicy?: string;
  readonly healthCheckNodePort?: number;
  readonly affinitySeconds?: number;
  readonly sourceRanges?: readonly string[];
}

/** Where the traffic goes, and whose: facts of the present Service, whatever it asks for. */
function checkContent(
  name: string,
  { targets, families, config }: CloudTargetGroup,
  { request: { service } }: Outcome,
  { nodePort }: RequestedPort,
  { world, eligible }: { readonly world: World; readonly eligible: EligibleNodes },
): readonly string[] {
  const { spec } = service;
  const policy = spec?.externalTrafficPolicy === 'Local' ? 'Local' : 'Cluster';
  const right = nodesFor(service, eligible, world.slices).map((node) => `${eligible.get(node)}:${nodePort}`);
  const shown: Config = JSON.parse(config);
  const affinity = spec?.sessionAffinity === 'ClientIP' ? AFFINITY_SECONDS : undefined;
  return [
    ...compare(`The targets of ${name}`, targets, right.toSorted()),
    ...compare(`The families of ${name}`, families, spec?.ipFamilies ?? []),
    ...compare(
      `The source ranges of ${name}`,
      (shown.sourceRanges ?? []).toSorted(),
      (spec?.loadBalancerSourceRanges ?? []).toSorted(),
    ),
    ...compare(`The traffic policy of ${name}`, [shown.trafficPolicy], [policy]),
    ...compare(
      `The health check of ${name}`,
      [shown.healthCheckNodePort],
      [policy === 'Local' ? spec?.healthCheckNodePort : undefined],
    ),
    ...compare(`The affinity of ${name}`, [shown.affinitySeconds], [affinity]),
  ];
}

function compare(what: string, shown: readonly unknown[], right: readonly unknown[]): readonly string[] {
  if (isDeepStrictEqual(shown, right)) return [];
  return [`${what} is ${shown.join(', ') || 'nothing'}; right is ${right.join(', ') || 'nothing'}.`];
}
