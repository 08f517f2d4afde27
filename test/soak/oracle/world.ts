import type { EndpointSlice, Node, Service } from '#src/kube/wire';
import type { CloudState } from '#test/chaos/cloud';
import type { Marks } from '../operator.ts';
import type { Grants, ProviderName } from './request.ts';

/** Everything that can be seen from outside at one moment. */
export interface World {
  readonly services: readonly Service[];
  readonly nodes: readonly Node[];
  readonly slices: readonly EndpointSlice[];
  /** `127.0.0.1:80/TCP` of each socket on which the leader waits for clients. */
  readonly sockets: readonly string[];
  /** The same of the process that does not lead. */
  readonly followerSockets: readonly string[];
  /** All that exists in the small cloud; undefined where it does not take part. */
  readonly cloud: CloudState | undefined;
  /** How many load balancers of each provider the leader says there are. */
  readonly loadBalancers: Readonly<Record<ProviderName, number>>;
  /** What the leader would do now, in words. */
  readonly plans: readonly string[];
  /** Names of the Services that users want to be there. */
  readonly wanted: ReadonlySet<string>;
  /** What somebody else has left on a Service, by name. */
  readonly marks: (name: string) => Marks;
  /** IPv4 addresses, of which each load balancer has its own; the proxy also has at most one IPv6 address for all. */
  readonly pools: Readonly<Record<ProviderName, readonly string[]>>;
  readonly mayAskFor: Grants;
}

/** A port that must be open, and where its traffic must end. */
export interface ExpectedSocket {
  /** `127.0.0.1:80/TCP`. */
  readonly socket: string;
  readonly address: string;
  readonly port: number;
  readonly protocol: 'TCP' | 'UDP';
  /** `namespace/name` of the Service. */
  readonly service: string;
  readonly nodePort: number;
  /** Names of the nodes to which connections may come. */
  readonly nodes: readonly string[];
  /** CIDRs; empty for everyone. */
  readonly ranges: readonly string[];
}

/** What a round leaves for the next to compare with. */
export interface Remembered {
  readonly provider: ProviderName;
  readonly key: string;
  /** Nobody asks for anything that is not given. */
  readonly isSettled: boolean;
  /** `namespace/name` of everyone who asks for it. */
  readonly members: readonly string[];
  readonly addresses: readonly string[];
  /** `127.0.0.1 80/TCP`: what of it clients can reach. */
  readonly listeners: readonly string[];
}

export interface Verdict {
  /** What is not as it must be, each as a sentence. */
  readonly complaints: readonly string[];
  /** All through which traffic must come as it says. */
  readonly sockets: readonly ExpectedSocket[];
  readonly loadBalancers: readonly Remembered[];
}
