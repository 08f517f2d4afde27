import { keyOf, type LoadBalancerKey } from '#src/loadbalancer/identity';
import type { LoadBalancerId } from '#src/loadbalancer/model';
import type { Clock } from './clock.ts';
import type { LoadBalancer } from './load-balancer.ts';

/** Changes of health within this time are looked at together. */
const DEBOUNCE_MS = 250;

/** Tells when the readiness of a load balancer is no longer what was last seen of it. */
export class ReadinessWatch {
  readonly #clock: Clock;
  readonly #loadBalancers: () => Iterable<LoadBalancer>;
  readonly #onChange: (id: LoadBalancerId) => void;
  readonly #seen = new Map<LoadBalancerKey, string>();
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, loadBalancers: () => Iterable<LoadBalancer>, onChange: (id: LoadBalancerId) => void) {
    this.#clock = clock;
    this.#loadBalancers = loadBalancers;
    this.#onChange = onChange;
  }

  /** Notes what an observation has just shown. */
  saw(id: LoadBalancerId, digest: string | undefined): void {
    if (digest === undefined) this.#seen.delete(keyOf(id));
    else this.#seen.set(keyOf(id), digest);
  }

  /** Some node's health has changed. */
  healthChanged(): void {
    this.#cancel ??= this.#clock.after(DEBOUNCE_MS, () => {
      this.#cancel = undefined;
      for (const loadBalancer of this.#loadBalancers()) {
        const { id } = loadBalancer;
        const digest = loadBalancer.readinessDigest();
        if (this.#seen.get(keyOf(id)) === digest) continue;
        this.#seen.set(keyOf(id), digest);
        this.#onChange(id);
      }
    });
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
