/**
 * The port between the controller and whatever makes load balancers real. A provider observes, plans and applies;
 * the controller decides when, writes finalizers and status, and retries. `test/contract` holds every provider to
 * the comments of this file.
 */
import type { Log } from '../telemetry/log.ts';
import type { DesiredLoadBalancer, IpFamily, ListenerRef, LoadBalancerId, Protocol, Refusal } from './model.ts';
import type { SettingName } from './annotations.ts';

/** What a provider can do; the controller refuses, per Service, what it cannot. */
export interface Capabilities {
  /** Targets are NodeIP:NodePort, so every port needs a NodePort. */
  readonly needsNodePorts: boolean;
  readonly protocols: readonly Protocol[];
  /** `status.loadBalancer.ingress[].ipMode` for the addresses it publishes (KEP-1860). */
  readonly ipMode: 'VIP' | 'Proxy';
  /** Several Services may share one load balancer. */
  readonly sharing: boolean;
  /** Most listeners that one load balancer can have. */
  readonly maxListeners: number;
  /** The settings (by annotation) that it honours; others are refused rather than ignored. */
  readonly settings: readonly SettingName[];
  /**
   * Has no state outside the controller process: nothing is left to delete when the process is gone, and what it serves
   * is in nobody's way. So it may serve on when nobody can say any more whether this process leads.
   */
  readonly inProcess: boolean;
  /**
   * Another process that observes sees all that this one has made. Where it does not (sockets are open in one process
   * only), a process that merely asks must not say what is there and what is left to do.
   */
  readonly seenFromOutside: boolean;
}

/**
 * What applying a step does to traffic: nothing; open connections are let go in their own time; or connections
 * break or are refused for a while.
 */
export type Impact = 'none' | 'drains' | 'breaks';

/** One change to the outside world. Providers refine it to a discriminated union over `kind`. */
export interface PlanStep {
  readonly kind: string;
  /** One line for a person: what changes, with the names and numbers. */
  readonly summary: string;
  readonly impact: Impact;
  /** The listener that the step serves: its failure is told to that listener's Service; without one, to all of them. */
  readonly listener?: ListenerRef;
  /**
   * The part of the load balancer that the step makes, changes or takes away, in words of the provider's own (an
   * address, a socket). When a step fails, the later ones of its scope are skipped, and those that need it; so are those
   * that need what was skipped. All others go on. A failing step without a scope ends the plan.
   */
  readonly scope?: string;
  /** Scopes of earlier steps of the plan without which this one is not to be made: it would fail, or take away too much. */
  readonly needs?: readonly string[];
  /** What other load balancers can have once it is applied, in words of the provider's own: see `Refusal.waitsFor`. */
  readonly frees?: readonly string[];
}

/** Steps in the order in which they must be applied; none means that observed is as desired. */
export interface Plan<Step extends PlanStep = PlanStep> {
  readonly steps: readonly Step[];
  /** What of the desired state this provider cannot give, per member or listener. The steps do without it. */
  readonly refusals: readonly Refusal[];
}

/** An address at which clients reach the load balancer. */
export type Address =
  | { readonly kind: 'ip'; readonly ip: string; readonly family: IpFamily }
  | { readonly kind: 'hostname'; readonly hostname: string };

/** Whether traffic of a member can arrive. The text is stable while the answer is: it goes into the Service's status. */
export interface Readiness {
  readonly ready: boolean;
  /** CamelCase, for the condition's reason. */
  readonly reason: string;
  readonly message: string;
}

/** What a provider has to say about a load balancer as observed. */
export interface LoadBalancerStatus {
  /** Empty while there is none to publish. */
  readonly addresses: readonly Address[];
  /** By member UID. */
  readonly readiness: ReadonlyMap<string, Readiness>;
  /** Set while the provider works on it by itself: look again after this many milliseconds. */
  readonly pollAfterMs?: number;
}

/** A load balancer that exists outside, and whose it is. */
export interface InventoryEntry {
  readonly id: LoadBalancerId;
  /** UIDs of the Services that hold a part of it. */
  readonly members: readonly string[];
}

/** A port of an address that a Service shows as its own. */
export interface PublishedListener extends ListenerRef {
  /** In canonical text. */
  readonly address: string;
}

/** What the cluster's status says of one load balancer. */
export interface PublishedLoadBalancer {
  readonly id: LoadBalancerId;
  readonly addresses: readonly string[];
  /** The ports that it has at these addresses, as far as that is known: where an address is shared, it keeps them. */
  readonly listeners?: readonly PublishedListener[];
}

export interface ProviderContext {
  /** Aborted when the work must end; recheck it after every await. */
  readonly signal: AbortSignal;
  readonly log: Log;
}

export interface ApplyContext extends ProviderContext {
  /**
   * Throws `NotLeader` once this process may write nothing outside any more; the signal may tell it later. The
   * controller asks before each step, so this is for a step that has waited or has written already: to be called right
   * before its next write.
   */
  readonly fence: () => void;
}

export interface Provider<Observed = unknown, Step extends PlanStep = PlanStep> {
  /** Lower case, as in the finalizer `ballast.dev/<name>` and the metrics' label. */
  readonly name: string;
  /** The `spec.loadBalancerClass` it claims. */
  readonly loadBalancerClass: string;
  readonly capabilities: Capabilities;
  /**
   * The longest that `run` may take to end, in milliseconds, where something outside would be left behind if the
   * process did not wait for it; and the option that decides it.
   */
  readonly ending?: { readonly atMostMs: number; readonly option: string } | undefined;

  /**
   * Called once, when the stores have synced and before anything else, with every address that a Service of this
   * provider shows in its status: an address in use is known before the first new one is given, and a port of it.
   */
  restore(published: readonly PublishedLoadBalancer[]): void;

  /** Reads what exists outside for this load balancer, and what planning for it needs to know. Writes nothing. */
  observe(id: LoadBalancerId, context: ProviderContext): Promise<Observed>;

  /**
   * Pure: the steps from observed to desired. `undefined` desires that nothing is left. Neither argument is
   * changed. After the steps have been applied, planning again gives no steps.
   */
  plan(desired: DesiredLoadBalancer | undefined, observed: Observed): Plan<Step>;

  /**
   * Makes one step real. Idempotent: a step that was already applied, wholly or in part, succeeds. Throws a
   * BallastError; the controller retries.
   */
  apply(step: Step, context: ApplyContext): Promise<void>;

  /** Pure: what to publish, from a fresh observation. */
  status(desired: DesiredLoadBalancer, observed: Observed): LoadBalancerStatus;

  /** Pure: UIDs of the Services that hold a part of the observed load balancer; empty when nothing of it exists. */
  holders(observed: Observed): readonly string[];

  /** All load balancers of this cluster that exist outside. The controller reconciles each at its start. */
  inventory(context: ProviderContext): Promise<readonly InventoryEntry[]>;

  /** Calls back whenever something changed by itself that could change a plan or a status (health, a freed address). */
  onChange(listener: (id: LoadBalancerId) => void): void;

  /**
   * Where something outside the process could be left on this very machine: while this process does not lead, nothing
   * of ours may be reachable here, for whoever leads answers elsewhere. Takes away what an earlier process left, from
   * its start until the signal aborts, because this process leads now or ends, and resolves then. Called at most once,
   * before `restore` and everything else; leaves alone what another living process uses. Never rejects.
   */
  standby?(signal: AbortSignal): Promise<void>;

  /**
   * Starts what runs beside reconciling (health checks, sweeps); resolves when the signal has aborted and all of it
   * has ended. A signal whose reason is a BallastError `NotLeader` says that somebody else may lead already: what is
   * outside the process and would be in that one's way goes at once; otherwise open connections may be let go in time.
   */
  run(signal: AbortSignal): Promise<void>;
}
