import type { Service } from '../kube/wire.ts';
import type { LoadBalancerKey } from '../loadbalancer/identity.ts';
import { publishedAddressesOf } from '../loadbalancer/member.ts';
import type { DesiredLoadBalancer, LoadBalancerId, Member } from '../loadbalancer/model.ts';
import { hasFinalizer } from './finalizers.ts';
import type { Ledger } from './ledger.ts';

/** Whether the Service shows that this provider has served it: the finalizer is our word, the addresses are the work. */
export function wasServed(service: Service, provider: string): boolean {
  return hasFinalizer(service, provider) && publishedAddressesOf(service).length > 0;
}

export interface LastGoodOptions {
  readonly provider: string;
  readonly ledger: Pick<Ledger, 'heldBy'>;
  /** What the Service asks for when what makes no sense is taken for absent. */
  readonly leniently: (id: LoadBalancerId, service: Service) => Member | undefined;
}

/**
 * What members of load balancers asked for when that last made sense, so that those who work go on with it while they
 * ask nonsense. A process that has not been there then takes of the present request what makes sense.
 */
export class LastGood {
  readonly #options: LastGoodOptions;
  /** By load balancer and UID. */
  readonly #members = new Map<LoadBalancerKey, ReadonlyMap<string, Member>>();

  constructor(options: LastGoodOptions) {
    this.#options = options;
  }

  /** What is served of the load balancer now, and who asks for it. */
  remember(key: LoadBalancerKey, desired: DesiredLoadBalancer | undefined, services: readonly Service[]): void {
    const served = new Map(desired?.members.map((member) => [member.ref.uid, member]));
    const before = this.#members.get(key);
    const members = new Map<string, Member>();
    for (const { metadata } of services) {
      const member = served.get(metadata.uid) ?? before?.get(metadata.uid);
      if (member) members.set(metadata.uid, member);
    }
    if (members.size === 0) this.#members.delete(key);
    else this.#members.set(key, members);
  }

  /** What the Service is to go on with; undefined when nothing of it works, or when all is to be left as it is. */
  of(key: LoadBalancerKey, id: LoadBalancerId, service: Service): Member | undefined {
    const { provider, ledger, leniently } = this.#options;
    const { uid } = service.metadata;
    const held = ledger.heldBy(key).has(uid);
    if (!held && !wasServed(service, provider)) return undefined;
    const remembered = this.#members.get(key)?.get(uid);
    if (remembered) return remembered;
    // What outlived the process that made it has the settings that it had then, and nobody else waits for this one.
    return held && id.kind === 'service' ? undefined : leniently(id, service);
  }
}
