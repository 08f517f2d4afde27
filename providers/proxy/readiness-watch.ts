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
  /** The one readiness that was seen since the last change was told; undefined for several. */
  readonly #seen = new Map<LoadBalancerKey, string | undefined>();
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, loadBalancers: () => Iterable<LoadBalancer>, onChange: (id: LoadBalancerId) => void) {
    this.#clock = clock;
    this.#loadBalancers = loadBalancers;
    this.#onChange = onChange;
  }

  /**
   * Notes what an observation has just shown. Whether it will be published is not known here: where observations
   * differ, any of them may have been.
   */
  saw(id: LoadBalancerId, digest: string | undefined): void {
    const key = keyOf(id);
    if (digest === undefined) this.#seen.delete(key);
    else if (!this.#seen.has(key)) this.#seen.set(key, digest);
    else if (this.#seen.get(key) !== digest) this.#seen.set(key, undefined);
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
