import type { BallastError } from '../errors.ts';
import type { Service } from '../kube/wire.ts';
import type { LoadBalancerKey } from '../loadbalancer/identity.ts';
import type { Warning } from '../loadbalancer/desired.ts';
import type { DesiredLoadBalancer } from '../loadbalancer/model.ts';
import type { LoadBalancerStatus, Provider } from '../loadbalancer/provider.ts';
import { memberStatus, statusFields, type MemberView } from '../loadbalancer/status.ts';
import { announcementsOf } from './announce.ts';
import type { MemberProblems } from './decide.ts';
import { withFinalizers } from './finalizers.ts';
import { failureOf } from './failure.ts';
import type { EventSink, ServicePatch } from './ports.ts';
import { stillAsksFor } from './asksfor.ts';
import type { RosterOptions } from './roster.ts';
import type { Writes } from './writes.ts';

export interface StatusWriterOptions {
  readonly provider: Pick<Provider, 'name' | 'capabilities'>;
  readonly claims: RosterOptions;
  readonly writes: Writes;
  readonly events: EventSink;
  /** The time of day, RFC 3339 with seconds. */
  readonly now: () => string;
}

export interface StatusInput {
  /** The load balancer that the members ask for. */
  readonly key: LoadBalancerKey;
  readonly members: readonly Service[];
  /** What is served, or was left as it is. */
  readonly desired: DesiredLoadBalancer | undefined;
  readonly kept: boolean;
  readonly problemsOf: (uid: string) => MemberProblems;
  readonly warnings: readonly Warning[];
  readonly observed: LoadBalancerStatus | undefined;
  readonly signal: AbortSignal;
}

export interface WriteOutcome {
  readonly writes: number;
  readonly errors: readonly BallastError[];
}

/** Writes the status of every member, one patch each, where it differs; what changed is told by events. */
export class StatusWriter {
  readonly #options: StatusWriterOptions;

  constructor(options: StatusWriterOptions) {
    this.#options = options;
  }

  /** A write that fails costs its own Service only. Throws when the signal has aborted or leadership is lost. */
  async write(input: StatusInput): Promise<WriteOutcome> {
    const errors: BallastError[] = [];
    let writes = 0;
    for (const service of input.members) {
      try {
        if (await this.#writeOne(service, input)) writes += 1;
      } catch (error) {
        errors.push(failureOf(error, input.signal));
      }
    }
    return { writes, errors };
  }

  async #writeOne(service: Service, input: StatusInput): Promise<boolean> {
    const { events, writes } = this.#options;
    const view = this.#view(service, input);
    const outcome = await writes.send({
      purpose: 'status',
      service,
      compute: (current) => this.#patch({ ...view, service: current }, input.key),
      subresource: 'status',
      signal: input.signal,
    });
    if (outcome.kind !== 'patched') return false;
    for (const { type, reason, message } of announcementsOf(service, memberStatus(view).answers, view.warnings)) {
      events.record(outcome.object, type, reason, message);
    }
    return true;
  }

  #view(service: Service, { desired, kept, problemsOf, warnings, observed }: StatusInput): MemberView {
    const { provider } = this.#options;
    const { uid } = service.metadata;
    return {
      service,
      provider: provider.name,
      ipMode: provider.capabilities.ipMode,
      member: desired?.members.find(({ ref }) => ref.uid === uid),
      kept,
      ...problemsOf(uid),
      warnings: warnings.filter(({ member }) => member === uid).map(({ message }) => message),
      observed,
      noNodes: desired?.nodes.nodes.length === 0,
    };
  }

  #patch(view: MemberView, key: LoadBalancerKey): ServicePatch | undefined {
    const { provider, claims, now } = this.#options;
    // Who asks for another load balancer by now has the status of that one.
    if (!stillAsksFor(view.service, key, claims)) return undefined;
    const status = statusFields(view.service, memberStatus(view), now());
    // Before anything was made outside, preparing has put the finalizers on; where that may wait, they come here.
    const finalizers = view.member && withFinalizers(view.service, provider.name);
    if (status === undefined && finalizers === undefined) return undefined;
    return { ...(finalizers && { metadata: { finalizers } }), ...(status && { status }) };
  }
}
