/** What one Service asks for, checked by itself: its part in a load balancer, or why it gets none. */
import type { EndpointSlice, Service, ServicePort } from '../kube/wire.ts';
import { endpointNodesOf } from './endpoints.ts';
import type { AddressGrant } from './address-grant.ts';
import { assignmentOf, type AllowedGroups } from './group.ts';
import { areHarmless } from './harmless.ts';
import { parseIp, type IpAddress } from './ip.ts';
import { listenerKey, type IpFamily, type Listener, type ListenerRef, type Member, type Wishes } from './model.ts';
import type { Protocol, Refusal, WantedFamily } from './model.ts';
import type { Problem } from './problem.ts';
import type { Capabilities } from './provider.ts';
import { readRequestedAddresses } from './requested-addresses.ts';
import { readSettings } from './settings.ts';
import { readSourceRanges } from './source-ranges.ts';

/** `sessionAffinityConfig.clientIP.timeoutSeconds` where it is not set. */
const DEFAULT_AFFINITY_SECONDS = 10_800;

export interface AdmissionContext {
  readonly capabilities: Capabilities;
  readonly allowedGroups: AllowedGroups;
  readonly addressGrants: readonly AddressGrant[];
  /** The slices of a Service, in any order. Asked only for `externalTrafficPolicy: Local`. */
  readonly endpointSlicesOf: (service: Service) => readonly EndpointSlice[];
  /** Takes annotations that make no sense for absent: what a load balancer that was left as it is may still show. */
  readonly lenient?: boolean;
  /** What a Service that works wished when that last made sense, as far as it is known; undefined when it does not work. */
  readonly lastGood?: (service: Service) => Partial<Wishes> | undefined;
}

/** A Service as the load balancer sees it. */
export interface Admission {
  readonly service: Service;
  /** Undefined when the Service as a whole is refused. Ports that are refused by themselves are left out. */
  readonly member: Member | undefined;
  readonly requestedAddresses: readonly IpAddress[];
  /** The addresses that its status shows. */
  readonly publishedAddresses: readonly string[];
  readonly refusals: readonly Refusal[];
  /** What it is served by where its request is refused without harm; undefined where that ends it. */
  readonly fallback: Member | undefined;
}

/** Checks everything about one Service that can be said without looking at the others. */
export function admit(service: Service, context: AdmissionContext): Admission {
  const { uid } = service.metadata;
  const families = familiesOf(service);
  const ranges = readSourceRanges(service);
  const addresses = readRequestedAddresses(service, families, context.addressGrants);
  const settings = readSettings(service, context.capabilities.settings);
  const ports = (service.spec?.ports ?? []).flatMap((port, index) =>
    isPort(port.port) ? readPort(port, index, uid, context.capabilities) : [],
  );

  const annotations = [...groupProblems(service, context), ...addresses.problems, ...settings.problems];
  const wholly = [...ranges.problems, ...(context.lenient ? [] : annotations)];
  const partly = ports.flatMap(({ problem }) => problem ?? []);
  const local = service.spec?.externalTrafficPolicy === 'Local';
  const member: Member = {
    ref: { namespace: service.metadata.namespace ?? '', name: service.metadata.name, uid },
    listeners: ports.flatMap(({ listener }) => listener ?? []),
    families,
    trafficPolicy: local ? 'Local' : 'Cluster',
    healthCheckNodePort: (local && service.spec?.healthCheckNodePort) || undefined,
    endpointNodes: local ? endpointNodesOf(service, context.endpointSlicesOf(service)) : undefined,
    affinitySeconds: affinityOf(service),
    sourceRanges: ranges.value,
    requestedAddresses: addresses.value.map(({ text }) => text),
    settings: settings.value,
  };
  const goesOn = ranges.problems.length === 0 && member.listeners.length > 0;
  const last = goesOn ? context.lastGood?.(service) : undefined;
  const allowed = addresses.problems.length === 0 ? addresses.value : [];
  const fallback = last && withWishes(member, { requestedAddresses: allowed.map(({ text }) => text), ...last });
  const kept = fallback && areHarmless(wholly) ? fallback : undefined;
  const admitted = wholly.length === 0 ? member : kept;
  return {
    service,
    member: admitted,
    requestedAddresses: context.lenient ? [] : kept ? parsed(kept.requestedAddresses) : addresses.value,
    publishedAddresses: publishedAddressesOf(service),
    refusals: [
      ...wholly.map((problem) => ({ member: uid, ...problem, ...(kept && { kept: true as const }) })),
      ...partly
        // Nobody fills the NodePorts of a Service that is not served.
        .filter(({ code }) => admitted !== undefined || code !== 'NodePortMissing')
        .map((problem) => ({ member: uid, ...problem })),
    ],
    fallback,
  };
}

/**
 * The present Service with other wishes. Only those outlive their request: by all else that a Service says the API
 * server and kube-proxy act at once, so a load balancer that did not would send traffic to what is no longer its own.
 */
function withWishes(now: Member, wishes: Partial<Wishes>): Member {
  const { requestedAddresses, ...settings } = wishes;
  const families = now.families.map(({ family }) => family);
  const wanted = parsed(requestedAddresses).filter(({ family }) => families.includes(family));
  return { ...now, ...settings, requestedAddresses: wanted.map(({ text }) => text) };
}

function parsed(addresses: readonly string[] = []): readonly IpAddress[] {
  return addresses.map(parseIp).filter((address) => address !== undefined);
}

function groupProblems(service: Service, { allowedGroups, capabilities }: AdmissionContext): readonly Problem[] {
  const { id, refusal } = assignmentOf(service, allowedGroups);
  if (refusal) return [refusal];
  if (id.kind === 'service' || capabilities.sharing) return [];
  const message =
    'The provider of this Service gives every Service its own load balancer; remove the annotation ' +
    'ballast.dev/load-balancer.';
  return [{ code: 'InvalidAnnotation', message, field: 'metadata.annotations[ballast.dev/load-balancer]' }];
}

/** The API server lets no other number pass; should one come all the same, nothing can listen on it. */
function isPort(port: number | undefined): boolean {
  return Number.isInteger(port) && port !== undefined && port >= 1 && port <= 65_535;
}

/** A port is either served or refused. */
interface PortReading {
  readonly listener?: Listener;
  readonly problem?: Problem;
}

function readPort(servicePort: ServicePort, index: number, uid: string, capabilities: Capabilities): PortReading {
  const { port, name = '' } = servicePort;
  const protocol = protocolOf(servicePort);
  const nodePort = isPort(servicePort.nodePort) ? servicePort.nodePort : undefined;
  if (protocol === undefined || !capabilities.protocols.includes(protocol)) {
    const field = `spec.ports[${index}].protocol`;
    const message =
      `The provider of this Service does not carry ${servicePort.protocol} (port ${port}), only ` +
      `${capabilities.protocols.join(' and ')}; remove the port or use another loadBalancerClass.`;
    const problem: Problem = { code: 'UnsupportedProtocol', message, field };
    return { problem: protocol === undefined ? problem : { ...problem, listener: { port, protocol } } };
  }
  if (capabilities.needsNodePorts && nodePort === undefined) {
    const listener: ListenerRef = { port, protocol };
    const message = `The port ${listenerKey(listener)} has no NodePort yet; Ballast allocates one.`;
    return { problem: { code: 'NodePortMissing', message, field: `spec.ports[${index}].nodePort`, listener } };
  }
  return { listener: { member: uid, name, port, protocol, nodePort } };
}

const PROTOCOLS: readonly Protocol[] = ['TCP', 'UDP', 'SCTP'];

/** The protocol of a Service port; TCP where it names none, undefined where nobody knows it. */
export function protocolOf(port: Pick<ServicePort, 'protocol'>): Protocol | undefined {
  return port.protocol === undefined ? 'TCP' : PROTOCOLS.find((protocol) => protocol === port.protocol);
}

/** What `spec.ipFamilies` and `spec.ipFamilyPolicy` ask for; IPv4 where an old object names none. */
export function familiesOf(service: Service): readonly WantedFamily[] {
  const families = (service.spec?.ipFamilies ?? ['IPv4']).filter(isFamily);
  const strict = service.spec?.ipFamilyPolicy === 'RequireDualStack';
  return families.map((family, index) => ({ family, required: index === 0 || strict }));
}

function isFamily(text: string): text is IpFamily {
  return text === 'IPv4' || text === 'IPv6';
}

function affinityOf(service: Service): number | undefined {
  if (service.spec?.sessionAffinity !== 'ClientIP') return undefined;
  return service.spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? DEFAULT_AFFINITY_SECONDS;
}

/** Every address and hostname that the Service's status shows, addresses in canonical text. */
export function publishedAddressesOf(service: Service): readonly string[] {
  const ingress = service.status?.loadBalancer?.ingress ?? [];
  return ingress
    .flatMap(({ ip, hostname }) => [ip, hostname])
    .flatMap((text) => (text ? [parseIp(text)?.text ?? text] : []));
}
