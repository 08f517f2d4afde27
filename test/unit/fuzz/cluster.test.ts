/** The way from what an API server gives to a plan and a status, over objects of every kind and in every order. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deepFreeze, groupId } from '#test/fakes/builders';
import { FUZZ_TIMEOUT_MS, fuzz, fuzzAsync } from '#test/fakes/fuzz';
import { RecordingProvider, type RecordingObserved } from '#test/fakes/recording-provider';
import { silentLog } from '#test/fakes/log';
import { wildNode, wildService, wildSlice } from '#test/fakes/wild';
import type { EndpointSlice, Node, Service } from '#src/kube/wire';
import { trimEndpointSlice, trimNode, trimService } from '#src/kube/trim';
import { claimOf, type ClaimRules } from '#src/loadbalancer/claim';
import { buildDesired, type DesiredResult } from '#src/loadbalancer/desired';
import { assignmentOf } from '#src/loadbalancer/group';
import { keyOf } from '#src/loadbalancer/identity';
import { publishedAddressesOf } from '#src/loadbalancer/member';
import { listenerKey, type DesiredLoadBalancer, type NodeSet, type Refusal } from '#src/loadbalancer/model';
import { firstSight, judgeNodes } from '#src/loadbalancer/nodeguard';
import { buildNodeSet, declinedNodes, leftOutNodes } from '#src/loadbalancer/nodes';
import type { Capabilities } from '#src/loadbalancer/provider';
import { foreignIngress, memberStatus, statusFields } from '#src/loadbalancer/status';
import { Echo } from '#src/service/echo';
import { explainEndpoints } from '#src/service/explainendpoints';
import { releasePatch } from '#src/service/release';
import { partOf } from '#src/service/roster';
import { decide } from '#src/service/decide';
import { PlanModel } from '../providers/proxy/plan-model.ts';

const RULES: ClaimRules = {
  providers: [{ name: 'proxy', loadBalancerClass: 'ballast.dev/proxy' }],
  defaultProvider: 'proxy',
  extraClasses: new Map(),
};
const ALLOWED = new Map<string, '*'>([['elsewhere/shared', '*']]);
const CLAIMS = { provider: 'proxy', rules: RULES, allowedGroups: ALLOWED };
const GUARD = { limitPercent: 50, windowMs: 10_000, holdMs: 60_000 };
const NAMES = ['a', 'b', 'c'];
const NODES = ['n1', 'n2', 'n3'];

interface Cluster {
  readonly services: readonly Service[];
  readonly nodes: readonly Node[];
  readonly slices: readonly EndpointSlice[];
}

const clusters: fc.Arbitrary<Cluster> = fc.record({
  services: fc.tuple(...NAMES.map((name) => wildService(name))),
  nodes: fc.tuple(...NODES.map((name) => wildNode(name))),
  slices: fc.tuple(...NAMES.flatMap((name) => [1, 2].map((each) => wildSlice(`${name}-${each}`, name, NODES)))),
});

/** As the stores hold it. */
function trimmed({ services, nodes, slices }: Cluster): Cluster {
  return deepFreeze({
    services: services.map(trimService),
    nodes: nodes.map(trimNode),
    slices: slices.map(trimEndpointSlice),
  });
}

function slicesOf(slices: readonly EndpointSlice[]): (service: Service) => readonly EndpointSlice[] {
  return ({ metadata }) => slices.filter((each) => each.metadata.name.startsWith(`${metadata.name}-`));
}

const CAPABILITIES: Capabilities = {
  needsNodePorts: true,
  protocols: ['TCP', 'UDP'],
  ipMode: 'Proxy',
  sharing: true,
  maxListeners: 1_000,
  settings: ['algorithm', 'proxyProtocol', 'idleTimeoutSeconds', 'maxConnections'],
  inProcess: false,
  seenFromOutside: false,
};

function desiredOf({ services, nodes, slices }: Cluster): DesiredResult & { readonly set: NodeSet } {
  const set = buildNodeSet(nodes);
  const result = buildDesired({
    id: groupId(),
    services,
    nodes: set,
    capabilities: CAPABILITIES,
    allowedGroups: ALLOWED,
    addressGrants: [{ addresses: '*', namespaces: '*' }],
    endpointSlicesOf: slicesOf(slices),
  });
  return { ...result, set };
}

const POOLS = [
  ['192.0.2.1', '2001:db8::1'],
  ['192.0.2.1', '192.0.2.2', '192.0.2.3', '2001:db8::1', '2001:db8::2'],
  ['198.51.100.1', '198.51.100.2'],
];

/** Brings the provider in memory to a desired state; gives what it refused. */
async function reachRecording(
  provider: RecordingProvider,
  desired: DesiredLoadBalancer | undefined,
): Promise<readonly Refusal[]> {
  const context = { signal: new AbortController().signal, log: silentLog, fence: () => {} };
  const look = (): Promise<RecordingObserved> => provider.observe(groupId(), context);
  const { steps, refusals } = provider.plan(desired, await look());
  for (const step of steps) await provider.apply(step, context);
  const observed = await look();
  expect(provider.plan(desired, observed)).toEqual({ steps: [], refusals });
  if (desired) provider.status(desired, observed);
  return refusals;
}

describe('whatever the API server gives', () => {
  it(
    'nothing throws on the way from the objects to plans, statuses and explanations, and a plan that was applied leaves nothing to do',
    () => {
      fuzz(
        fc.property(clusters, fc.constantFrom(...POOLS), (wild, pool) => {
          const { services, nodes, slices } = trimmed(wild);
          const { desired, refusals, set } = desiredOf({ services, nodes, slices });
          for (const { port, nodePort = 30_000 } of (desired?.members ?? []).flatMap(({ listeners }) => listeners)) {
            for (const number of [port, nodePort])
              expect(Number.isInteger(number) && number > 0 && number < 65_536).toBe(true);
          }
          leftOutNodes(nodes);
          judgeNodes(firstSight(set), { eligible: set, declined: declinedNodes(nodes) }, 0, GUARD);

          const model = new PlanModel({ 'proxy-addresses': pool });
          const plan = model.reconcile(desired, groupId());
          expect(model.plan(desired, groupId())).toEqual({ steps: [], refusals: plan.refusals });
          expect(new Set(model.open()).size).toBe(model.open().length);

          const all = [...refusals, ...plan.refusals];
          const echo = new Echo();
          for (const service of services) {
            claimOf(service, RULES);
            partOf(service, CLAIMS);
            keyOf(assignmentOf(service, ALLOWED).id);
            publishedAddressesOf(service);
            foreignIngress(service);
            releasePatch(service, { provider: 'proxy', rules: RULES });
            explainEndpoints(service, slicesOf(slices)(service));
            const own = all.filter(({ member }) => member === service.metadata.uid);
            const status = memberStatus({
              service,
              provider: 'proxy',
              ipMode: 'Proxy',
              member: desired?.members.find(({ ref }) => ref.uid === service.metadata.uid),
              kept: false,
              refusals: own,
              failures: [],
              warnings: [],
              observed: { addresses: [{ kind: 'ip', ip: '192.0.2.1', family: 'IPv4' }], readiness: new Map() },
              noNodes: set.nodes.length === 0,
            });
            for (const { message } of status.answers) expect(message.length).toBeLessThan(1_024);
            const fields = statusFields(service, status, '2026-01-01T00:00:00Z');
            if (fields) echo.expect(service, { status: fields });
            echo.isOwn({ type: 'updated', object: service, previous: service });
          }
          const kept = decide(new RecordingProvider({ pool }), { desired, refusals, warnings: [] }, services, {
            id: groupId(),
            balancer: undefined,
            pool: [],
          });
          expect(kept.kept).toBe(false);
        }),
        200,
      );
    },
    FUZZ_TIMEOUT_MS,
  );

  it(
    'the provider in memory reaches it, and its end',
    async () => {
      await fuzzAsync(
        fc.asyncProperty(
          fc.array(clusters, { minLength: 1, maxLength: 3 }),
          fc.constantFrom(...POOLS),
          async (wild, pool) => {
            const provider = new RecordingProvider({ pool });
            for (const each of wild) await reachRecording(provider, desiredOf(trimmed(each)).desired);
            await reachRecording(provider, undefined);
            expect(provider.world.list()).toEqual([]);
          },
        ),
        50,
      );
    },
    FUZZ_TIMEOUT_MS,
  );
});

/** In an order of its own: what differs only in the order of ports is the same load balancer. */
function unordered({ desired, refusals, warnings }: DesiredResult): unknown {
  const members = desired?.members.map(({ listeners, ...member }) => ({
    ...member,
    listeners: listeners.toSorted((a, b) => (listenerKey(a) < listenerKey(b) ? -1 : 1)),
  }));
  return { desired: desired && { ...desired, members }, refusals: sorted(refusals.map(placeless)), warnings };
}

/** A port's place in its list is named, and so changes with it. */
function placeless(refusal: Refusal): Refusal {
  return JSON.parse(JSON.stringify(refusal).replaceAll(/spec\.ports\[\d+\]/g, 'spec.ports[]'));
}

function sorted(values: readonly unknown[]): readonly string[] {
  return values.map((value) => JSON.stringify(value)).toSorted();
}

function shuffled<T>(values: readonly T[] | undefined): fc.Arbitrary<T[]> {
  const all = [...(values ?? [])];
  return fc.shuffledSubarray(all, { minLength: all.length });
}

/** The same cluster in another order: of Services, their ports, nodes, slices and their endpoints. */
function reordered({ services, nodes, slices }: Cluster): fc.Arbitrary<Cluster> {
  const withPorts = services.map((each) =>
    shuffled(each.spec?.ports).map((ports): Service =>
      each.spec?.ports ? { ...each, spec: { ...each.spec, ports } } : each,
    ),
  );
  const withEndpoints = slices.map((each) => shuffled(each.endpoints).map((endpoints) => ({ ...each, endpoints })));
  return fc.record({
    services: fc.tuple(...withPorts).chain(shuffled),
    nodes: shuffled(nodes),
    slices: fc.tuple(...withEndpoints).chain(shuffled),
  });
}

describe('the order of what the API server gives', () => {
  const pairs = clusters.map(trimmed).chain((cluster) => fc.tuple(fc.constant(cluster), reordered(cluster)));

  it(
    'changes neither what is desired nor what is planned',
    () => {
      fuzz(
        fc.property(pairs, fc.constantFrom(...POOLS), ([one, other], pool) => {
          const [first, second] = [desiredOf(one), desiredOf(other)];
          expect(second.set).toEqual(first.set);
          expect(unordered(second)).toEqual(unordered(first));
          const [planned, again] = [first, second].map(({ desired }) => {
            const model = new PlanModel({ 'proxy-addresses': pool });
            const { steps, refusals } = model.reconcile(desired, groupId());
            // The socket of one port neither waits for another port's nor clashes with it.
            return { steps: sorted(steps), refusals: sorted(refusals), open: model.open().toSorted() };
          });
          expect(again).toEqual(planned);
        }),
        120,
      );
    },
    FUZZ_TIMEOUT_MS,
  );
});
