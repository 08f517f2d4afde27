import type { BallastError } from '../errors.ts';
import type { Service } from '../kube/wire.ts';
import type { Answer } from '../loadbalancer/conditions.ts';
import { PROGRAMMED, cut } from '../loadbalancer/conditions.ts';
import { DELETED } from './announce.ts';
import { hasFinalizer } from './finalizers.ts';
import type { Ledger } from './ledger.ts';
import { failureOf } from './failure.ts';
import type { EventSink, ServicePatch } from './ports.ts';
import { releasePatch, stuckPatch } from './release.ts';
import { partOf, type RosterOptions } from './roster.ts';
import type { WriteOutcome } from './statuswriter.ts';
import type { Writes } from './writes.ts';

export interface LeaversOptions {
  readonly claims: RosterOptions;
  readonly ledger: Ledger;
  readonly writes: Writes;
  readonly events: EventSink;
  /** The time of day, RFC 3339 with seconds. */
  readonly now: () => string;
}

/** Sees off the Services that are leaving: releases those that nothing holds, tells on the others why they wait. */
export class Leavers {
  readonly #options: LeaversOptions;

  constructor(options: LeaversOptions) {
    this.#options = options;
  }

  /** `failure` is what kept their load balancer from being removed this time. */
  async seeOff(
    services: readonly Service[],
    failure: BallastError | undefined,
    signal: AbortSignal,
  ): Promise<WriteOutcome> {
    const errors: BallastError[] = [];
    let writes = 0;
    for (const service of services) {
      try {
        if (await this.#seeOffOne(service, failure, signal)) writes += 1;
      } catch (error) {
        errors.push(failureOf(error, signal));
      }
    }
    return { writes, errors };
  }

  async #seeOffOne(service: Service, failure: BallastError | undefined, signal: AbortSignal): Promise<boolean> {
    const { claims, ledger, writes, events, now } = this.#options;
    const held = ledger.holdersOf(service.metadata.uid).size > 0;
    if (failure === undefined && ledger.mayHold(service.metadata.uid)) return false;
    const answer = held && failure ? stuckAnswer(failure) : undefined;
    const compute = (current: Service): ServicePatch | undefined => {
      if (partOf(current, claims)?.kind !== 'leaving') return undefined;
      if (answer) return stuckPatch(current, answer, claims, now());
      // Another reconcile may have begun meanwhile that works for the Service as it was.
      return ledger.mayHold(service.metadata.uid) ? undefined : releasePatch(current, claims);
    };
    const outcome = await writes.send({ purpose: 'release', service, compute, subresource: 'status', signal });
    if (outcome.kind !== 'patched') return false;
    const told = answer ? stuckEvent(answer) : DELETED;
    // Of a Service that was refused from the start nothing was made, and so nothing deleted.
    if (hasFinalizer(service, claims.provider)) events.record(service, told.type, told.reason, told.message);
    return true;
  }
}

function stuckAnswer({ code, message }: BallastError): Answer {
  const text = `The load balancer could not be removed, so the Service is held: ${message}`;
  return { type: PROGRAMMED, status: 'False', reason: code, message: cut(text) };
}

function stuckEvent({ message }: Answer): { type: 'Warning'; reason: string; message: string } {
  return { type: 'Warning', reason: 'SyncLoadBalancerFailed', message: `Error syncing load balancer: ${message}` };
}
