/** What the contract suite needs to know of a provider and of the world it works in. */
import type { DesiredLoadBalancer, IpFamily } from '#src/loadbalancer/model';
import type { Provider } from '#src/loadbalancer/provider';

/** One provider and its own small world, made anew for every test. */
export interface Harness {
  /** The running provider; another one after a restart. */
  readonly provider: Provider;
  /** Every address that the provider may give, by family. A family without any is not tested. */
  readonly addresses: Readonly<Record<IpFamily, readonly string[]>>;
  /** Ends the process, as a crash would, and starts another in the same world. State in the process is lost. */
  restart(): Promise<void>;
  /** Another provider in the same world, beside the first. The harness ends it when it closes. */
  second(): Promise<Provider>;
  /**
   * What clients can reach, found without asking the provider: `<address>:<port>/<protocol>` for each, with brackets
   * around an IPv6 address. Something that is there twice is listed twice.
   */
  reachable(): Promise<readonly string[]>;
  /** What is left of addresses that the provider added to the machine or the cloud; empty where it adds none. */
  leftovers(): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** Something that others may do to what the provider made. */
export interface Damage<H extends Harness> {
  /** Completes "repairs …". */
  readonly name: string;
  readonly inflict: (harness: H, desired: DesiredLoadBalancer) => Promise<void>;
}

/** Tests that do not apply to a provider, by their full names, and why. */
export interface Gap {
  readonly reason: string;
  readonly tests: readonly string[];
}

export interface ContractOptions<H extends Harness> {
  readonly name: string;
  readonly create: () => Promise<H>;
  /** May be empty only where nothing but the provider can reach what it made. */
  readonly damage: readonly Damage<H>[];
  readonly skip?: readonly Gap[];
  /** Random histories to try; 25 by default. */
  readonly histories?: number;
}
