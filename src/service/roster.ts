import type { Service } from '../kube/wire.ts';
import { claimOf, type ClaimRules } from '../loadbalancer/claim.ts';
import { PREFIX } from '../loadbalancer/annotations.ts';
import { currentConditions, foreignConditions } from '../loadbalancer/conditions.ts';
import { assignmentOf, mayUse, type AllowedGroups } from '../loadbalancer/group.ts';
import { keyOf, parseKey, type LoadBalancerKey } from '../loadbalancer/identity.ts';
import { hasFinalizer } from './finalizers.ts';
import { keyName } from './ports.ts';

export interface RosterOptions {
  readonly provider: string;
  readonly rules: ClaimRules;
  readonly allowedGroups: AllowedGroups;
}

/**
 * A Service's part with one provider: `member` of the load balancer it asks for; or `leaving`, which it is once it has
 * our finalizer but is not ours any more, or is being deleted. One that was refused from the start has no finalizer,
 * but conditions that nobody else takes off.
 */
export interface Part {
  readonly kind: 'member' | 'leaving';
  readonly key: LoadBalancerKey;
  readonly service: Service;
}

/** The part of a Service; undefined when it is none of the provider's business. */
export function partOf(service: Service, { provider, rules, allowedGroups }: RosterOptions): Part | undefined {
  const owner = claimOf(service, rules).provider;
  if (owner === provider && service.metadata.deletionTimestamp === undefined) {
    return { kind: 'member', key: keyOf(assignmentOf(service, allowedGroups).id), service };
  }
  const isForsaken = owner === undefined && bearsConditionsOnly(service);
  if (!hasFinalizer(service, provider) && !isForsaken) return undefined;
  const { namespace = '', name } = service.metadata;
  return { kind: 'leaving', key: keyOf({ kind: 'service', namespace, name }), service };
}

/** Whether our conditions are all that is left of us on a Service that lives on. */
function bearsConditionsOnly(service: Service): boolean {
  const { deletionTimestamp, finalizers = [] } = service.metadata;
  if (deletionTimestamp !== undefined || finalizers.some((finalizer) => finalizer.startsWith(PREFIX))) return false;
  return foreignConditions(service).length < currentConditions(service).length;
}

const NONE: ReadonlySet<never> = new Set();

/** All parts of one provider, by load balancer and by UID: what the store says, looked up the other way round. */
export class Roster {
  readonly #options: RosterOptions;
  readonly #parts = new Map<string, Part>();
  readonly #names = new Map<LoadBalancerKey, Set<string>>();
  readonly #byUid = new Map<string, Part>();
  /** By UID. */
  readonly #lastNamed = new Map<string, LoadBalancerKey>();

  constructor(options: RosterOptions) {
    this.#options = options;
  }

  /** Takes in the new state of a Service, or its absence; gives the load balancers that it is and was part of. */
  update(service: Service, present: boolean): readonly LoadBalancerKey[] {
    const name = keyName(service);
    const before = this.#parts.get(name);
    const after = present ? partOf(service, this.#options) : undefined;
    if (before) this.#remove(name, before);
    if (after) this.#add(name, after);
    if (before && before.service.metadata.uid !== after?.service.metadata.uid) {
      this.#lastNamed.delete(before.service.metadata.uid);
    }
    return [...new Set([before?.key, after?.key])].filter((key) => key !== undefined);
  }

  /** The Services that ask for this load balancer, in no order. */
  members(key: LoadBalancerKey): readonly Service[] {
    return this.#services(key, 'member');
  }

  /** The Services that are leaving and stand under this key. */
  leaving(key: LoadBalancerKey): readonly Service[] {
    return this.#services(key, 'leaving');
  }

  /** The part of the Service with this UID. */
  byUid(uid: string): Part | undefined {
    return this.#byUid.get(uid);
  }

  /** Whether the group that the Service names is none that it may join. */
  isRefusedGroup(service: Service): boolean {
    return assignmentOf(service, this.#options.allowedGroups).refusal !== undefined;
  }

  /** Whether the Service may be with this load balancer, whatever it names. */
  mayStay(service: Service, key: LoadBalancerKey): boolean {
    return mayUse(service, parseKey(key), this.#options.allowedGroups);
  }

  /** The load balancer that the Service named when that last made sense, as far as this process has seen it. */
  lastNamed({ metadata }: Service): LoadBalancerKey | undefined {
    return this.#lastNamed.get(metadata.uid);
  }

  /** The part of the Service `namespace/name`. */
  byName(name: string): Part | undefined {
    return this.#parts.get(name);
  }

  /** Every load balancer that some Service is part of. */
  keys(): Iterable<LoadBalancerKey> {
    return this.#names.keys();
  }

  parts(): Iterable<Part> {
    return this.#parts.values();
  }

  #services(key: LoadBalancerKey, kind: Part['kind']): readonly Service[] {
    return [...(this.#names.get(key) ?? NONE)].flatMap((name) => {
      const part = this.#parts.get(name);
      return part?.kind === kind ? part.service : [];
    });
  }

  #add(name: string, part: Part): void {
    this.#parts.set(name, part);
    this.#byUid.set(part.service.metadata.uid, part);
    const makesSense = part.kind === 'member' && !this.isRefusedGroup(part.service);
    if (makesSense) this.#lastNamed.set(part.service.metadata.uid, part.key);
    const names = this.#names.get(part.key);
    if (names) names.add(name);
    else this.#names.set(part.key, new Set([name]));
  }

  #remove(name: string, part: Part): void {
    this.#parts.delete(name);
    this.#byUid.delete(part.service.metadata.uid);
    const names = this.#names.get(part.key);
    names?.delete(name);
    if (names?.size === 0) this.#names.delete(part.key);
  }
}
