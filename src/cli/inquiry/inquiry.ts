/** The answers to `ballast plan` and `ballast explain`, wherever they are computed: in the controller or beside it. */
import { BallastError } from '../../errors.ts';
import { claimOf, type ClaimRules } from '../../loadbalancer/claim.ts';
import { assignmentOf, type AllowedGroups } from '../../loadbalancer/group.ts';
import { keyOf, type LoadBalancerKey } from '../../loadbalancer/identity.ts';
import type { Service } from '../../kube/wire.ts';
import type { ServiceController } from '../../service/controller.ts';
import type { Decision } from '../../service/explain.ts';
import type { Leadership } from '../../service/leadership.ts';
import type { Stores } from '../../service/ports.ts';
import type { PlanReport } from '../../service/preview.ts';
import { partOf } from '../../service/roster.ts';

export interface InquiryOptions {
  /** One for each provider that runs, `open`ed where they can be. */
  readonly controllers: readonly ServiceController[];
  readonly stores: Stores;
  readonly rules: ClaimRules;
  readonly allowedGroups: AllowedGroups;
  /** Who does the work, as far as is known. */
  readonly leadership: () => Leadership | undefined;
}

/** One Service, or those of one namespace, or, with neither, all. */
export interface Selection {
  /** `namespace/name`. */
  readonly service?: string;
  readonly namespace?: string;
}

export interface Explanation {
  /** `namespace/name`. */
  readonly service: string;
  readonly decisions: readonly Decision[];
  /** The provider that has to do with it; undefined when none has. */
  readonly provider?: string | undefined;
}

export class Inquiry {
  readonly #options: InquiryOptions;

  constructor(options: InquiryOptions) {
    this.#options = options;
  }

  /**
   * The UID of the Service `default/kubernetes`, which every API server makes for itself: tells one cluster from
   * another, whatever the names and addresses under which people reach it. Undefined before the store has it.
   */
  get cluster(): string | undefined {
    return this.#options.stores.services.get('default/kubernetes')?.metadata.uid;
  }

  /**
   * What would be done now, for each load balancer that the selection touches.
   * @throws BallastError `ApiNotFound` for a Service that does not exist, `NotLeader` when this process cannot tell.
   */
  async plans(selection: Selection, signal: AbortSignal): Promise<readonly PlanReport[]> {
    const reports: PlanReport[] = [];
    for (const controller of this.#options.controllers) {
      for (const key of this.#keys(controller, selection)) {
        signal.throwIfAborted();
        reports.push(await controller.planFor(key, signal));
      }
    }
    return reports;
  }

  /** @throws BallastError like `plans` */
  async explain(name: string, signal: AbortSignal): Promise<Explanation> {
    const { controllers, rules, leadership } = this.#options;
    const service = this.#service(name);
    const claimed = claimOf(service, rules).provider;
    const held = controllers.find(({ provider }) => this.#part(service, provider.name) !== undefined);
    const responsible = controllers.find(({ provider }) => provider.name === claimed) ?? held;
    const decisions = await (responsible ?? controllers[0])?.explainFor(name, signal, leadership());
    return { service: name, decisions: decisions ?? [], provider: responsible?.provider.name };
  }

  #keys(controller: ServiceController, selection: Selection): Iterable<LoadBalancerKey> {
    const { stores } = this.#options;
    if (selection.service !== undefined) return this.#keysOf(controller, [this.#service(selection.service)]);
    if (selection.namespace === undefined) return controller.keys();
    const { namespace } = selection;
    return this.#keysOf(
      controller,
      stores.services.list().filter(({ metadata }) => metadata.namespace === namespace),
    );
  }

  /** Also a Service that is leaving may still be part of the group that it names. */
  #keysOf({ provider }: ServiceController, services: readonly Service[]): ReadonlySet<LoadBalancerKey> {
    const { allowedGroups } = this.#options;
    const keys = services.flatMap((service) => {
      const part = this.#part(service, provider.name);
      return part === undefined ? [] : [part.key, keyOf(assignmentOf(service, allowedGroups).id)];
    });
    return new Set(keys);
  }

  #part(service: Service, provider: string): ReturnType<typeof partOf> {
    const { rules, allowedGroups } = this.#options;
    return partOf(service, { provider, rules, allowedGroups });
  }

  #service(name: string): Service {
    const service = this.#options.stores.services.get(name);
    if (!service) throw new BallastError('ApiNotFound', `There is no Service ${name}.`);
    return service;
  }
}
