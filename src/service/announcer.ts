/** Tells on Services what is about to be done for them and what was changed because they asked, once each. */
import type { Service } from '../kube/wire.ts';
import { PROGRAMMED, currentCondition } from '../loadbalancer/conditions.ts';
import type { DesiredResult } from '../loadbalancer/desired.ts';
import type { LoadBalancerKey } from '../loadbalancer/identity.ts';
import type { Plan } from '../loadbalancer/provider.ts';
import { DELETING, ENSURING, UPDATED, type Announcement } from './announce.ts';
import { shapesOf } from './decide.ts';
import type { Ledger } from './ledger.ts';
import type { EventSink } from './ports.ts';

/** What is remembered of a load balancer from one reconcile to the next; only events depend on it. */
interface Memory {
  /** What each member asked for. */
  readonly shapes: ReadonlyMap<string, string>;
  /** UIDs of the members of which it was told that their load balancer is being made. */
  readonly ensuring: ReadonlySet<string>;
  /** UIDs of the Services of which it was told that their load balancer is being deleted. */
  readonly deleting: ReadonlySet<string>;
}

/** Everything that one reconcile knows before it acts. */
export interface Work {
  readonly key: LoadBalancerKey;
  readonly members: readonly Service[];
  readonly leaving: readonly Service[];
  readonly wanted: DesiredResult;
  readonly plan: Plan;
}

export class Announcer {
  readonly #events: EventSink;
  readonly #ledger: Pick<Ledger, 'heldBy'>;
  readonly #memories = new Map<LoadBalancerKey, Memory>();

  constructor(events: EventSink, ledger: Pick<Ledger, 'heldBy'>) {
    this.#events = events;
    this.#ledger = ledger;
  }

  /** Tells of what is made for the first time or removed, before the first step. */
  before({ key, members, leaving, wanted }: Work): void {
    const memory = this.#memories.get(key);
    for (const service of waitingMembers(members, wanted)) {
      if (!memory?.ensuring.has(service.metadata.uid)) this.#tell(service, ENSURING);
    }
    const held = this.#ledger.heldBy(key);
    for (const service of leaving) {
      const { uid } = service.metadata;
      if (held.has(uid) && !memory?.deleting.has(uid)) this.#tell(service, DELETING);
    }
  }

  /** Tells what was changed because a Service asked for something else than last time. */
  updates({ key, members, wanted }: Work): void {
    const shapes = shapesOf(wanted.desired);
    for (const service of members) {
      const { uid } = service.metadata;
      const before = this.#memories.get(key)?.shapes.get(uid);
      const changed = before !== undefined && shapes.has(uid) && shapes.get(uid) !== before;
      if (changed && currentCondition(service, PROGRAMMED)?.status === 'True') this.#tell(service, UPDATED);
    }
  }

  /** The work is done, well or not. */
  remember({ key, members, leaving, wanted, plan }: Work): void {
    const shapes = shapesOf(wanted.desired);
    const told = this.#memories.get(key)?.ensuring;
    const ensuring = uidsOf(
      waitingMembers(members, wanted).filter(({ metadata }) => plan.steps.length > 0 || told?.has(metadata.uid)),
    );
    if (shapes.size + leaving.length === 0) this.#memories.delete(key);
    else this.#memories.set(key, { shapes, ensuring, deleting: uidsOf(leaving) });
  }

  #tell(service: Service, { type, reason, message }: Announcement): void {
    this.#events.record(service, type, reason, message);
  }
}

/** The members that are to be served and are not yet. */
export function waitingMembers(
  members: readonly Service[],
  { desired, refusals }: Pick<DesiredResult, 'desired' | 'refusals'>,
): readonly Service[] {
  const served = new Set(desired?.members.map(({ ref }) => ref.uid));
  // Those are served as before.
  for (const { member, kept } of refusals) if (kept) served.delete(member);
  return members.filter(
    (service) => served.has(service.metadata.uid) && currentCondition(service, PROGRAMMED)?.status !== 'True',
  );
}

export function uidsOf(services: readonly Service[]): ReadonlySet<string> {
  return new Set(services.map(({ metadata }) => metadata.uid));
}
