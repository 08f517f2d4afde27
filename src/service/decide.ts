/** The pure middle of a reconcile: from what is wanted and observed to what is to be done. */
import { createHash } from 'node:crypto';
import type { BallastError, ErrorCode } from '../errors.ts';
import { ERRORS } from '../errors.ts';
import type { DesiredResult } from '../loadbalancer/desired.ts';
import { listenerKey, type DesiredLoadBalancer, type Refusal } from '../loadbalancer/model.ts';
import type { Problem } from '../loadbalancer/problem.ts';
import type { Plan, Provider } from '../loadbalancer/provider.ts';
import type { StepFailure } from './apply.ts';
import type { MemberFailure } from './prepare.ts';

/**
 * Refusals for which a working load balancer is not torn down: a mistyped annotation must not cost a Service its
 * address. (Bad source ranges are not among them: who may connect is then unknown, so nobody may.)
 */
const HARMLESS: ReadonlySet<ErrorCode> = new Set(['InvalidAnnotation', 'GroupNotAllowed', 'NodePortMissing']);

export interface Decision {
  readonly plan: Plan;
  /** Nothing is planned, because the load balancer stays as it is until its members ask for something sensible. */
  readonly kept: boolean;
}

/** The plan, unless the load balancer is to be left alone. `members` are the UIDs of those who ask for it. */
export function decide(
  provider: Provider,
  { desired, refusals }: DesiredResult,
  members: ReadonlySet<string>,
  observed: unknown,
): Decision {
  const refused = desired === undefined && refusals.length > 0 && refusals.every(({ code }) => HARMLESS.has(code));
  if (refused && provider.holders(observed).some((uid) => members.has(uid))) {
    return { plan: { steps: [], refusals: [] }, kept: true };
  }
  return { plan: provider.plan(desired, observed), kept: false };
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
