import type { Buffers } from './buffers.ts';
import type { Clock } from './clock.ts';
import type { Lane } from './connection-gate.ts';
import type { ListenerSpec } from './listener-spec.ts';
import type { ListenerMetrics } from './metrics.ts';
import type { ProxyOptions } from './options.ts';
import type { Selector } from './selector.ts';
import type { TargetGroup, TargetsChange } from './target-group.ts';

/** A listening socket with all that hangs on it. */
export interface Frontend {
  readonly spec: ListenerSpec;
  /** Connections or sessions that are open. */
  readonly size: number;
  /** Resolves once it listens. Throws `ListenFailed` or `AddressNotLocal`. */
  open(): Promise<void>;
  /** Takes new settings and targets; the endpoint must be the same. Open connections stay. */
  update(spec: ListenerSpec, group: TargetGroup): void;
  /** Tells that nodes left its group or joined it. */
  targetsChanged(change: TargetsChange): void;
  /**
   * Stops listening at once, ends what is open within `drainMs`, and resolves when all of it has ended. Called again,
   * it only shortens the time.
   */
  close(drainMs: number): Promise<void>;
}

/** What a frontend is made of. */
export interface FrontendParts {
  readonly spec: ListenerSpec;
  readonly group: TargetGroup;
  readonly selector: Selector;
  readonly lane: Lane;
  readonly metrics: ListenerMetrics;
  readonly clock: Clock;
  readonly buffers: Buffers;
  readonly options: ProxyOptions;
  /** Called when the socket ended though nobody closed it. */
  readonly onDied: (error: Error | undefined) => void;
}
