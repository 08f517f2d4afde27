/**
 * What a load balancer is to be, from everything the cluster says about it. Pure: the order of the input does not
 * matter, nothing is changed, and bad input of one Service costs that Service only.
 */
import type { Service } from '../kube/wire.ts';
import { memberName } from './identity.ts';
import { admit, type Admission, type AdmissionContext } from './member.ts';
import { listenerKey, type DesiredLoadBalancer, type Listener, type LoadBalancerId } from './model.ts';
import type { Member, MemberRef, NodeSet, Refusal } from './model.ts';
import { annotationField } from './problem.ts';
import { ADDRESSES_ANNOTATION } from './annotations.ts';
import type { IpAddress } from './ip.ts';
import { unknownAnnotations } from './settings.ts';

export interface DesiredInput extends AdmissionContext {
  readonly id: LoadBalancerId;
  /** The Services that ask for this load balancer: claimed and not being deleted. In any order. */
  readonly services: readonly Service[];
  readonly nodes: NodeSet;
}

/** Something that does no harm but was surely meant otherwise. */
export interface Warning {
  /** UID of the member. */
  readonly member: string;
  readonly message: string;
}

export interface DesiredResult {
  /** Undefined when nothing of any member is to be served. */
  readonly desired: DesiredLoadBalancer | undefined;
  readonly refusals: readonly Refusal[];
  readonly warnings: readonly Warning[];
}

/** Builds the desired state; refuses, per Service or per listener, what cannot be served. */
export function buildDesired(input: DesiredInput): DesiredResult {
  const { id, nodes, capabilities } = input;
  const admissions = input.services.toSorted(byAge).map((service) => admit(service, input));
  const shared = new SharedParts(id, capabilities.maxListeners);
  const members = admissions.map((admission) => shared.add(admission)).filter((member) => member !== undefined);
  const served = new Set(members.map((member) => member.ref.uid));
  const published = admissions
    .filter(({ service }) => served.has(service.metadata.uid))
    .flatMap(({ publishedAddresses }) => publishedAddresses);
  const desired: DesiredLoadBalancer = {
    id,
    members,
    requestedAddresses: shared.addresses.map(({ text }) => text),
    publishedAddresses: [...new Set(published)],
    nodes,
  };
  return {
    desired: members.length === 0 ? undefined : desired,
    refusals: [...admissions.flatMap(({ refusals }) => refusals), ...shared.refusals],
    warnings: admissions.flatMap(({ service }) =>
      unknownAnnotations(service).map((message) => ({ member: service.metadata.uid, message })),
    ),
  };
}

/** Oldest first: by creation, then by name, then by UID, so that two controllers always agree. */
export function byAge({ metadata: a }: Service, { metadata: b }: Service): number {
  return (
    compare(a.creationTimestamp ?? '', b.creationTimestamp ?? '') ||
    compare(`${a.namespace}/${a.name}`, `${b.namespace}/${b.name}`) ||
    compare(a.uid, b.uid)
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** What the members of one load balancer compete for; whoever comes first keeps it. */
class SharedParts {
  readonly refusals: Refusal[] = [];
  readonly addresses: IpAddress[] = [];
  readonly #id: LoadBalancerId;
  readonly #maxListeners: number;
  /** Who has each listener. */
  readonly #owners = new Map<string, MemberRef>();
  /** Who asked for the address of each family. */
  readonly #askers = new Map<string, MemberRef>();

  constructor(id: LoadBalancerId, maxListeners: number) {
    this.#id = id;
    this.#maxListeners = maxListeners;
  }

  /** The member with what is left for it; undefined when that is nothing. */
  add({ member: asking, requestedAddresses: asked, fallback }: Admission): Member | undefined {
    if (asking === undefined) return undefined;
    const refused = this.#refusesAddresses(asking.ref, asked, fallback !== undefined);
    // With an address that cannot be, the rest of the request still can.
    const member = refused ? fallback && { ...asking, requestedAddresses: [] } : asking;
    if (member === undefined) return undefined;
    const requestedAddresses = refused ? [] : asked;
    const listeners = member.listeners.filter((listener) => this.#take(listener, member.ref));
    if (listeners.length === 0) return undefined;
    for (const address of requestedAddresses) {
      if (this.#askers.has(address.family)) continue;
      this.#askers.set(address.family, member.ref);
      this.addresses.push(address);
    }
    return { ...member, listeners };
  }

  /** A Service that asks for one address is not given another in silence. */
  #refusesAddresses(ref: MemberRef, wanted: readonly IpAddress[], goesOn: boolean): boolean {
    for (const { family, text } of wanted) {
      const older = this.#askers.get(family);
      const kept = this.addresses.find((address) => address.family === family)?.text;
      if (older === undefined || kept === text) continue;
      const message =
        `${memberName(ref)} asks for ${text}, but the older ${memberName(older)} has asked for ${kept} on the same ` +
        `load balancer (${memberName(this.#id)}); ask for the same address or leave the group.`;
      const field = annotationField(ADDRESSES_ANNOTATION);
      const refusal: Refusal = { member: ref.uid, code: 'InvalidAnnotation', message, field };
      this.refusals.push(goesOn ? { ...refusal, kept: true } : refusal);
      return true;
    }
    return false;
  }

  #take(listener: Listener, ref: MemberRef): boolean {
    const key = listenerKey(listener);
    const owner = this.#owners.get(key);
    if (owner === undefined && this.#owners.size < this.#maxListeners) {
      this.#owners.set(key, ref);
      return true;
    }
    const { port, protocol } = listener;
    const refusal = { member: ref.uid, field: 'spec.ports', listener: { port, protocol } };
    const whose = `the load balancer ${memberName(this.#id)}`;
    if (owner) {
      const message =
        `The older ${memberName(owner)} already has ${key} on ${whose}; choose another port, or another group in ` +
        'the annotation ballast.dev/load-balancer.';
      this.refusals.push({ ...refusal, code: 'PortConflict', message });
    } else {
      const message =
        `There is no room for ${key}: ${whose} has all ${this.#maxListeners} listeners that its provider allows; ` +
        'spread the ports over Services that do not share a load balancer.';
      this.refusals.push({ ...refusal, code: 'TooManyListeners', message });
    }
    return false;
  }
}
