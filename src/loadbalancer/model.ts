/**
 * The words of the domain as types: what a load balancer is to be (desired), and how one is named. Values only;
 * nothing in this folder reads a clock, a socket or a cluster.
 */
import type { ErrorCode } from '../errors.ts';

export type IpFamily = 'IPv4' | 'IPv6';
export type Protocol = 'TCP' | 'UDP' | 'SCTP';

/** Names one load balancer of the cluster: that of a single Service, or that of a group that several share. */
export interface LoadBalancerId {
  readonly kind: 'service' | 'group';
  readonly namespace: string;
  readonly name: string;
}

/** Names one Service. The UID tells it from a later one of the same name. */
export interface MemberRef {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** A port and protocol of a load balancer. */
export interface ListenerRef {
  /** 1–65535. */
  readonly port: number;
  readonly protocol: Protocol;
}

/** One port of one member Service, as the load balancer is to serve it. */
export interface Listener extends ListenerRef {
  /** UID of the member that owns it. */
  readonly member: string;
  /** The Service port's name; empty where it has none. */
  readonly name: string;
  /** The port on every node; undefined where the provider needs none and the Service has none. */
  readonly nodePort: number | undefined;
}

/** A node that may receive traffic, by the stable set of KEP-3458. */
export interface NodeTarget {
  readonly name: string;
  /** The node's InternalIP of each family it has. */
  readonly addresses: Readonly<Partial<Record<IpFamily, string>>>;
  readonly providerId: string | undefined;
  readonly zone: string | undefined;
}

/** The eligible nodes, sorted by name; one value is shared by every load balancer that is built from the same nodes. */
export interface NodeSet {
  /** Equal versions mean equal contents. */
  readonly version: string;
  readonly nodes: readonly NodeTarget[];
}

export type Algorithm = 'round-robin' | 'least-connections';

/** What a member asks for by annotation; absent means the provider's default. */
export interface MemberSettings {
  readonly algorithm?: Algorithm;
  readonly proxyProtocol?: 'v2';
  /** Seconds without a byte in either direction after which a connection or UDP session ends. */
  readonly idleTimeoutSeconds?: number;
  /** Connections at once, for each listener of the member. */
  readonly maxConnections?: number;
  /** Seconds that open connections get to finish when their node or their listener goes. */
  readonly drainTimeoutSeconds?: number;
}

/** An address family that a member wants, and whether it can do without. */
export interface WantedFamily {
  readonly family: IpFamily;
  readonly required: boolean;
}

/** One Service's part in a load balancer. */
export interface Member {
  readonly ref: MemberRef;
  /** In the order of `spec.ports`. */
  readonly listeners: readonly Listener[];
  /** First is primary. */
  readonly families: readonly WantedFamily[];
  readonly trafficPolicy: 'Cluster' | 'Local';
  /** With `Local`, the port on which each node tells whether it has endpoints. */
  readonly healthCheckNodePort: number | undefined;
  /** With `Local`, the names of the nodes that have a ready or serving endpoint, sorted; undefined with `Cluster`. */
  readonly endpointNodes: readonly string[] | undefined;
  /** `sessionAffinity: ClientIP`: how long a client keeps its node, in seconds; undefined for none. */
  readonly affinitySeconds: number | undefined;
  /** CIDRs that may connect, normalised; empty means everyone. */
  readonly sourceRanges: readonly string[];
  /**
   * Which of the load balancer's requested addresses this member asks for, so that a request which cannot be met costs
   * nobody else; absent: every member of the address's family stands for it.
   */
  readonly requestedAddresses?: readonly string[];
  readonly settings: MemberSettings;
}

/** What a Service asks for by annotation or `spec.loadBalancerIP`, besides its group: only we heed it. */
export type Wishes = Pick<Member, 'settings' | 'requestedAddresses'>;

/** Everything that decides what a load balancer is to be. */
export interface DesiredLoadBalancer {
  readonly id: LoadBalancerId;
  /** Oldest first; never empty. */
  readonly members: readonly Member[];
  /** Addresses that members ask for, without duplicates, those of the oldest first; at most one of each family counts. */
  readonly requestedAddresses: readonly string[];
  /** Addresses that the members' status shows today; kept wherever possible. */
  readonly publishedAddresses: readonly string[];
  readonly nodes: NodeSet;
}

/** Why a member, or one listener of it, is not served. */
export interface Refusal {
  /** UID of the member. */
  readonly member: string;
  readonly code: ErrorCode;
  /** For a person: what is wrong, where, and what to do. */
  readonly message: string;
  /** The field at fault, in dotted form. */
  readonly field?: string;
  /** Set when the refusal concerns this listener only. */
  readonly listener?: ListenerRef;
  /** The refusal may end when one of these becomes free: see `PlanStep.frees`. */
  readonly waitsFor?: readonly string[];
  /** Set when the member goes on being served all the same, with what it had before. */
  readonly kept?: true;
}

/** `80/TCP`, as kubectl writes it; unique within a load balancer. */
export function listenerKey(listener: ListenerRef): string {
  return `${listener.port}/${listener.protocol}`;
}
