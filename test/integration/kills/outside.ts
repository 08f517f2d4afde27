/** What the tests of killed processes need to know of a provider, and of where its load balancers are. */
import type { InventoryEntry } from '#src/loadbalancer/provider';
import type { Gate } from '#test/chaos/kill-switch';

/** One way that clients' traffic takes. */
export interface Path {
  /** IP address or hostname. */
  readonly address: string;
  readonly port: number;
  readonly protocol: string;
  /** `address:port` of each target. */
  readonly targets: readonly string[];
}

/** Where load balancers are that outlive the process; found without asking the provider. */
export interface Outside {
  /** Every request of the provider passes one of these, so that the process can be killed there. */
  readonly gates: readonly Gate[];
  /** Flags that make the controller use it. */
  readonly flags: readonly string[];
  /** All ways that exist, in any order; what exists twice is there twice. */
  paths(): Promise<readonly Path[]>;
  /** All load balancers, and the UIDs of the Services that hold them. */
  inventory(): Promise<readonly InventoryEntry[]>;
  /**
   * All that exists, to the last orphan, in any order and as plain data, without ids that differ each time. Whoever
   * compares takes care of UIDs, addresses and NodePorts.
   */
  describe(): Promise<readonly unknown[]>;
  /** What was asked of it that only a mistake explains: doubles, deleting what is in use. */
  complaints(): readonly string[];
  close(): Promise<void>;
}

export interface KillTestOptions {
  /** Name of the provider, as in its finalizer. */
  readonly provider: string;
  readonly loadBalancerClass: string;
  /** The file that composes the program with this provider. */
  readonly program: string;
  /** A new outside with nothing in it. */
  readonly openOutside: () => Promise<Outside>;
  /** How many effects each kind of plan has at least; so it is noticed when the gates count too few. */
  readonly leastEffects: Readonly<Record<string, number>>;
}
