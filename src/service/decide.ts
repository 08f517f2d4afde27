/** The pure middle of a reconcile: from what is wanted and observed to what is to be done. */
import { createHash } from 'node:crypto';
import type { BallastError, ErrorCode } from '../errors.ts';
import { ERRORS } from '../errors.ts';
import type { Service } from '../kube/wire.ts';
import type { DesiredResult } from '../loadbalancer/desired.ts';
import { areHarmless } from '../loadbalancer/harmless.ts';
import { listenerKey, type DesiredLoadBalancer, type Refusal } from '../loadbalancer/model.ts';
import type { Problem } from '../loadbalancer/problem.ts';
import type { Plan, Provider } from '../loadbalancer/provider.ts';
import { addressesFieldOf } from '../loadbalancer/requested-addresses.ts';
import type { StepFailure } from './apply.ts';
import { wasServed } from './lastgood.ts';
import type { MemberFailure } from './prepare.ts';

/** Why a request for an address is refused by a provider. */
const ADDRESS_CODES: ReadonlySet<ErrorCode> = new Set(['AddressInUse', 'AddressNotInPool']);

export interface Decision {
  readonly plan: Plan;
  /** Nothing is planned, because the load balancer stays as it is until its members ask for something sensible. */
  readonly kept: boolean;
}

/** The plan, unless the load balancer is to be left alone. `members` are the Services that ask for it. */
export function decide(
  provider: Provider,
  { desired, refusals }: DesiredResult,
  members: readonly Service[],
  observed: unknown,
): Decision {
  const holders = new Set(provider.holders(observed));
  const refused = desired === undefined && areHarmless(refusals);
  if (refused && members.some(({ metadata }) => holders.has(metadata.uid))) {
    return { plan: { steps: [], refusals: [] }, kept: true };
  }
  const working = new Set(
    members
      .filter((service) => holders.has(service.metadata.uid) || wasServed(service, provider.name))
      .map(({ metadata }) => metadata.uid),
  );
  const plan = planKeeping(provider, desired, working, observed);
  return { plan: { ...plan, refusals: withFields(plan.refusals, members) }, kept: false };
}

/** The plan, in which those that work and ask for an address that they cannot have do without that request. */
function planKeeping(
  provider: Provider,
  desired: DesiredLoadBalancer | undefined,
  working: ReadonlySet<string>,
  observed: unknown,
): Plan {
  const plan = provider.plan(desired, observed);
  const impossible = plan.refusals.filter(
    ({ member, code, listener }) => listener === undefined && ADDRESS_CODES.has(code) && working.has(member),
  );
  if (desired === undefined || impossible.length === 0) return plan;
  const asking = new Set(impossible.map(({ member }) => member));
  const modest = provider.plan(withoutRequests(desired, asking), observed);
  const lost = new Set(modest.refusals.filter(({ listener }) => listener === undefined).map(({ member }) => member));
  const kept = impossible.map((refusal) => (lost.has(refusal.member) ? refusal : { ...refusal, kept: true as const }));
  return { steps: modest.steps, refusals: [...kept, ...modest.refusals] };
}

/** The same without the addresses that only these members ask for. */
function withoutRequests(desired: DesiredLoadBalancer, uids: ReadonlySet<string>): DesiredLoadBalancer {
  const members = desired.members.map((member) =>
    uids.has(member.ref.uid) ? { ...member, requestedAddresses: [] } : member,
  );
  const asked = new Set(members.flatMap(({ requestedAddresses = [] }) => requestedAddresses));
  return { ...desired, members, requestedAddresses: desired.requestedAddresses.filter((each) => asked.has(each)) };
}

/** A provider does not know by which field a Service asks for its address. */
function withFields(refusals: readonly Refusal[], members: readonly Service[]): readonly Refusal[] {
  return refusals.map((refusal) => {
    if (refusal.field !== undefined || !ADDRESS_CODES.has(refusal.code)) return refusal;
    const asking = members.find(({ metadata }) => metadata.uid === refusal.member);
    const field = asking && addressesFieldOf(asking);
    return field === undefined ? refusal : { ...refusal, field };
  });
}

/** What concerns one member. */
export interface MemberProblems {
  readonly refusals: readonly Problem[];
  readonly failures: readonly Problem[];
}

/** Sorts refusals and failures by the UID of the member that they concern. */
export function problemsByMember(
  desired: DesiredLoadBalancer | undefined,
  refusals: readonly Refusal[],
  memberFailures: readonly MemberFailure[],
  stepFailures: readonly StepFailure[],
): (uid: string) => MemberProblems {
  const failures = [
    ...memberFailures.filter(isNews).map(({ member, problem }) => ({ member, ...problem })),
    ...stepFailures.filter(isNews).flatMap((failure) => ownersOf(failure, desired)),
  ];
  const refused = Map.groupBy(refusals, ({ member }) => member);
  const failed = Map.groupBy(failures, ({ member }) => member);
  return (uid) => {
    const own = failed.get(uid) ?? [];
    // What went wrong with a NodePort says more than that it is missing.
    const said = (refused.get(uid) ?? []).filter(
      ({ code, listener }) =>
        code !== 'NodePortMissing' || !own.some((failure) => !failure.listener || same(failure.listener, listener)),
    );
    return { refusals: said, failures: own };
  };
}

/** A lost race or a plea for patience is over before a person could read of it. */
function isNews({ error: { kind } }: { readonly error: BallastError }): boolean {
  return kind !== 'conflict' && kind !== 'throttled';
}

function same(a: Problem['listener'], b: Problem['listener']): boolean {
  return a !== undefined && b !== undefined && listenerKey(a) === listenerKey(b);
}

/** A step of a listener concerns its member; any other concerns all. */
function ownersOf({ step, error }: StepFailure, desired: DesiredLoadBalancer | undefined): readonly Refusal[] {
  const { code, message } = error;
  const { listener } = step;
  return (desired?.members ?? [])
    .filter((member) => listener === undefined || member.listeners.some((own) => same(own, listener)))
    .map(({ ref }) => ({ member: ref.uid, code, message, ...(listener && { listener }) }));
}

/** What one member asks for, as a short text: nodes, endpoints and the addresses it has do not count. */
export function shapesOf(desired: DesiredLoadBalancer | undefined): ReadonlyMap<string, string> {
  const { members = [], requestedAddresses } = desired ?? {};
  return new Map(
    members.map((member) => {
      const text = JSON.stringify([{ ...member, endpointNodes: [] }, requestedAddresses]);
      return [member.ref.uid, createHash('sha256').update(text).digest('base64url').slice(0, 16)];
    }),
  );
}

const URGENCY: Readonly<Record<BallastError['kind'], number>> = {
  bug: 4,
  throttled: 3,
  retryable: 2,
  conflict: 1,
  terminal: 0,
};

/** The error that decides when the key is tried again; refusals that may pass by themselves count as errors. */
export function worstOf(errors: readonly BallastError[]): BallastError | undefined {
  return errors.toSorted((a, b) => URGENCY[b.kind] - URGENCY[a.kind])[0];
}

/** Whether nobody has to change anything for the refusal to end. */
export function mayPass({ code }: Problem): boolean {
  return ERRORS[code].kind !== 'terminal';
}
