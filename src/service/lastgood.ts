import type { Service } from '../kube/wire.ts';
import type { LoadBalancerKey } from '../loadbalancer/identity.ts';
import { publishedAddressesOf } from '../loadbalancer/member.ts';
import type { DesiredLoadBalancer, Wishes } from '../loadbalancer/model.ts';
import { hasFinalizer } from './finalizers.ts';
import type { Ledger } from './ledger.ts';

/** Whether the Service shows that this provider has served it: the finalizer is our word, the addresses are the work. */
export function wasServed(service: Service, provider: string): boolean {
  return hasFinalizer(service, provider) && publishedAddressesOf(service).length > 0;
}

export interface LastGoodOptions {
  readonly provider: string;
  readonly ledger: Pick<Ledger, 'heldBy'>;
}

/**
 * What members of load balancers wished when that last made sense, so that those who work go on with it while they ask
 * nonsense. A process that has not been there then knows of none, and takes of the present wishes what makes sense.
 */
export class LastGood {
  readonly #options: LastGoodOptions;
  /** By load balancer and UID. */
  readonly #wishes = new Map<LoadBalancerKey, ReadonlyMap<string, Wishes>>();

  constructor(options: LastGoodOptions) {
    this.#options = options;
  }

  /** What is served of the load balancer now, and who asks for it. */
  remember(key: LoadBalancerKey, desired: DesiredLoadBalancer | undefined, services: readonly Service[]): void {
    const served = new Map(desired?.members.map((member) => [member.ref.uid, wishesOf(member)]));
    const before = this.#wishes.get(key);
    const wishes = new Map<string, Wishes>();
    for (const { metadata } of services) {
      const own = served.get(metadata.uid) ?? before?.get(metadata.uid);
      if (own) wishes.set(metadata.uid, own);
    }
    if (wishes.size === 0) this.#wishes.delete(key);
    else this.#wishes.set(key, wishes);
  }

  /** The wishes that the Service is to go on with, as far as they are known; undefined when nothing of it works. */
  of(key: LoadBalancerKey, service: Service): Partial<Wishes> | undefined {
    const { provider, ledger } = this.#options;
    const { uid } = service.metadata;
    if (!ledger.heldBy(key).has(uid) && !wasServed(service, provider)) return undefined;
    return this.#wishes.get(key)?.get(uid) ?? {};
  }
}

function wishesOf({ settings, requestedAddresses = [] }: Wishes): Wishes {
  return { settings, requestedAddresses };
}
