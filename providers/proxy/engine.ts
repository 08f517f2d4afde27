/** Everything that the provider holds in this process, and the changes that can be made to it. */
import { setImmediate } from 'node:timers/promises';
import { BallastError } from '#src/errors';
import { keyOf, type LoadBalancerKey } from '#src/loadbalancer/identity';
import type { LoadBalancerId } from '#src/loadbalancer/model';
import type { Log } from '#src/telemetry/log';
import { Claims } from './claims.ts';
import { providerEnded } from './ended.ts';
import { endpointKey, sameSpec, type Endpoint, type ListenerSpec } from './listener-spec.ts';
import type { Frontends } from './frontends.ts';
import type { Frontend } from './frontend.ts';
import { LoadBalancer } from './load-balancer.ts';
import type { NodeViews } from './node-view.ts';
import type { Pool } from './pool.ts';
import { portKey } from './steps.ts';
import { TargetGroup } from './target-group.ts';
import type { Targets } from './targets.ts';

export interface EngineParts {
  readonly pool: Pool;
  readonly views: NodeViews;
  readonly frontends: Frontends;
  readonly log: Log;
  /** Called when something of a load balancer changed by itself. */
  readonly onChange: (id: LoadBalancerId) => void;
}

export class Engine {
  readonly claims: Claims;
  readonly #parts: EngineParts;
  readonly #loadBalancers = new Map<LoadBalancerKey, LoadBalancer>();
  #isClosed = false;

  constructor(parts: EngineParts) {
    this.#parts = parts;
    this.claims = new Claims(parts.pool);
  }

  all(): Iterable<LoadBalancer> {
    return this.#loadBalancers.values();
  }

  find(id: LoadBalancerId): LoadBalancer | undefined {
    return this.#loadBalancers.get(keyOf(id));
  }

  setTargets(id: LoadBalancerId, member: string, targets: Targets): void {
    this.#checkOpen();
    const key = keyOf(id);
    let own = this.#loadBalancers.get(key);
    if (!own) this.#loadBalancers.set(key, (own = new LoadBalancer(id)));
    const group = own.groups.get(member);
    if (!group) {
      own.groups.set(member, new TargetGroup(member, targets, this.#parts.views));
      return;
    }
    const change = group.set(targets);
    for (const frontend of own.frontends.values()) {
      if (frontend.spec.member === member) frontend.targetsChanged(change);
    }
  }

  dropTargets(id: LoadBalancerId, member: string): void {
    const own = this.find(id);
    own?.groups.get(member)?.close();
    own?.groups.delete(member);
    this.#forgetIfEmpty(own);
  }

  /** Opens a listener, or changes the one that is open there. Throws `ClaimLost`, `ListenFailed`, `AddressNotLocal`. */
  async setListener(id: LoadBalancerId, spec: ListenerSpec, signal: AbortSignal): Promise<void> {
    this.#checkOpen();
    const own = this.find(id);
    const group = own?.groups.get(spec.member);
    if (!own || !group) throw new BallastError('ClaimLost', `the targets of ${endpointKey(spec)} have gone meanwhile`);
    const key = keyOf(id);
    this.claims.takePort(key, spec.address, portKey(spec));
    const existing = own.frontendAt(spec);
    if (existing) {
      if (!sameSpec(existing.spec, spec)) existing.update(spec, group);
      return;
    }
    const frontend: Frontend = this.#parts.frontends.create(id, spec, group, (error) =>
      this.#died(own, frontend, error),
    );
    // Taken at once, so that nobody else opens it while the socket is made.
    own.frontends.set(endpointKey(spec), frontend);
    try {
      await frontend.open();
      signal.throwIfAborted();
      this.#checkOpen();
    } catch (error) {
      this.#remove(own, frontend);
      await frontend.close(0);
      throw error;
    }
  }

  /** Stops listening; returns before open connections have ended. */
  closeListener(id: LoadBalancerId, endpoint: Endpoint): void {
    const own = this.find(id);
    const frontend = own?.frontendAt(endpoint);
    if (!own || !frontend) return;
    this.#remove(own, frontend);
    this.#drain(own, frontend, frontend.spec.settings.drainTimeoutMs);
  }

  /** Throws `ClaimLost` while the load balancer listens on the address: somebody else would get it, too. */
  checkUnused(id: LoadBalancerId, address: string): void {
    const open = this.find(id)
      ?.listeners()
      .find((each) => each.address === address);
    if (open) throw new BallastError('ClaimLost', `${address} is still listened on, at ${endpointKey(open)}`);
  }

  /** Closes everything, within `withinMs`; nothing can be opened any more. */
  async close(withinMs: number): Promise<void> {
    this.#isClosed = true;
    await acceptsPending();
    const ending: Promise<void>[] = [];
    for (const own of this.#loadBalancers.values()) {
      for (const frontend of [...own.frontends.values(), ...own.closing]) {
        ending.push(frontend.close(Math.min(withinMs, frontend.spec.settings.drainTimeoutMs)));
      }
      own.frontends.clear();
    }
    await Promise.all(ending);
    for (const own of this.#loadBalancers.values()) for (const group of own.groups.values()) group.close();
    this.#loadBalancers.clear();
  }

  #drain(own: LoadBalancer, frontend: Frontend, drainMs: number): void {
    own.closing.add(frontend);
    // Also where the last one has ended since planning, which left the address for later.
    const isAwaited = frontend.size > 0 || own.isToldDraining(frontend.spec.address);
    const ended = frontend.close(drainMs);
    void ended.finally(() => {
      own.closing.delete(frontend);
      this.#forgetIfEmpty(own);
      if (isAwaited) this.#parts.onChange(own.id);
    });
  }

  #died(own: LoadBalancer, frontend: Frontend, error: Error | undefined): void {
    this.#parts.log.warn({ listener: endpointKey(frontend.spec), error }, 'a listening socket ended by itself');
    this.#remove(own, frontend);
    this.#drain(own, frontend, frontend.spec.settings.drainTimeoutMs);
    this.#parts.onChange(own.id);
  }

  #remove(own: LoadBalancer, frontend: Frontend): void {
    const { spec } = frontend;
    if (own.frontendAt(spec) !== frontend) return;
    own.frontends.delete(endpointKey(spec));
    this.claims.freePort(keyOf(own.id), spec.address, portKey(spec));
  }

  #forgetIfEmpty(own: LoadBalancer | undefined): void {
    if (own?.isEmpty && this.find(own.id) === own) this.#loadBalancers.delete(keyOf(own.id));
  }

  #checkOpen(): void {
    if (this.#isClosed) throw providerEnded();
  }
}

/**
 * Resolves right after the event loop has accepted whoever the kernel had in its backlogs: closing a listening socket
 * resets them. The first turn may begin behind this loop's accepts, the second has them before it. What connects
 * between those accepts and the closing, within the same turn, is still reset; no system call closes that gap.
 */
async function acceptsPending(): Promise<void> {
  await setImmediate();
  await setImmediate();
}
