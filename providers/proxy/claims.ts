import { BallastError } from '#src/errors';
import type { LoadBalancerKey } from '#src/loadbalancer/identity';
import { parseIp } from '#src/loadbalancer/ip';
import { FreeAddresses } from './free-addresses.ts';
import type { AddressUse, Holdings } from './observed.ts';
import { isShared, type Pool } from './pool.ts';
import { SnapshotMap } from './snapshot-map.ts';

const NONE: ReadonlyMap<string, ReadonlySet<string>> = new Map();

interface Use {
  readonly holders: Set<LoadBalancerKey>;
  readonly ports: Map<string, LoadBalancerKey>;
}

/**
 * Who holds which address and which port of it, in this process. Planning reads a picture of it, so two load balancers
 * may plan for the same thing; only one of them then gets it here.
 */
export class Claims {
  readonly #pool: Pool;
  readonly #uses = new Map<string, Use>();
  readonly #held = new Map<LoadBalancerKey, Set<string>>();
  /** Ports that were restored and not taken yet, by address. */
  readonly #reserved = new Map<LoadBalancerKey, Map<string, Set<string>>>();
  readonly #free: FreeAddresses;
  /** What was last told of each use. */
  readonly #told = new SnapshotMap<AddressUse>();
  /** The addresses of which something else is to be told. */
  readonly #changed = new Set<string>();
  #holdings: Holdings | undefined;

  constructor(pool: Pool) {
    this.#pool = pool;
    this.#free = new FreeAddresses(pool, (address) => this.#uses.has(address));
  }

  /** The addresses of a load balancer, sorted. */
  addressesOf(key: LoadBalancerKey): readonly string[] {
    return [...(this.#held.get(key) ?? [])].toSorted();
  }

  /** Load balancers that hold an address. */
  keys(): Iterable<LoadBalancerKey> {
    return this.#held.keys();
  }

  isHeld(address: string): boolean {
    return this.#uses.has(address);
  }

  isHeldByOthers(key: LoadBalancerKey, address: string): boolean {
    return [...(this.#uses.get(address)?.holders ?? [])].some((holder) => holder !== key);
  }

  /** Throws `ClaimLost` when another load balancer holds the address and the pool does not share it. */
  assign(key: LoadBalancerKey, address: string): void {
    const holders = this.#uses.get(address)?.holders;
    if (holders && !holders.has(key) && !this.#isShared(address)) {
      throw lost(address, [...holders][0] ?? key);
    }
    this.restore(key, address);
  }

  /**
   * As `assign`, but without asking: what the Services' status shows is in use. Several may show the same address, when
   * the pool had a single one before; they keep it.
   */
  restore(key: LoadBalancerKey, address: string): void {
    let use = this.#uses.get(address);
    if (!use) this.#uses.set(address, (use = { holders: new Set(), ports: new Map() }));
    if (use.holders.has(key)) return;
    use.holders.add(key);
    let held = this.#held.get(key);
    if (!held) this.#held.set(key, (held = new Set()));
    held.add(address);
    this.#changed.add(address);
  }

  /**
   * Keeps `80/TCP` of an address that was restored for the load balancer until it takes the port or frees it: it has had
   * it before. Does nothing where it does not hold the address, or another has the port.
   */
  reservePort(key: LoadBalancerKey, address: string, port: string): void {
    const use = this.#uses.get(address);
    if (!use?.holders.has(key) || use.ports.has(port)) return;
    this.takePort(key, address, port);
    const own = this.#reserved.get(key) ?? new Map<string, Set<string>>();
    this.#reserved.set(key, own.set(address, (own.get(address) ?? new Set()).add(port)));
  }

  /** By address, the ports that are kept for the load balancer and that it has not taken. */
  reservedBy(key: LoadBalancerKey): ReadonlyMap<string, ReadonlySet<string>> {
    return this.#reserved.get(key) ?? NONE;
  }

  release(key: LoadBalancerKey, address: string): void {
    const use = this.#uses.get(address);
    if (!use?.holders.delete(key)) return;
    for (const [port, holder] of use.ports) {
      if (holder !== key) continue;
      use.ports.delete(port);
      this.#unreserve(key, address, port);
    }
    if (use.holders.size === 0) {
      this.#uses.delete(address);
      this.#free.freed(address);
    }
    const held = this.#held.get(key);
    held?.delete(address);
    if (held?.size === 0) this.#held.delete(key);
    this.#changed.add(address);
  }

  /** Takes `80/TCP` of an address that the load balancer holds. Throws `ClaimLost` when another has it, or the address. */
  takePort(key: LoadBalancerKey, address: string, port: string): void {
    const use = this.#uses.get(address);
    if (!use?.holders.has(key)) throw lost(address, [...(use?.holders ?? [])][0]);
    const holder = use.ports.get(port);
    if (holder === key) return this.#unreserve(key, address, port);
    if (holder !== undefined) throw lost(`${port} of ${address}`, holder);
    use.ports.set(port, key);
    if (this.#showsPorts(address, use)) this.#changed.add(address);
  }

  freePort(key: LoadBalancerKey, address: string, port: string): void {
    const use = this.#uses.get(address);
    if (use?.ports.get(port) !== key) return;
    use.ports.delete(port);
    this.#unreserve(key, address, port);
    if (this.#showsPorts(address, use)) this.#changed.add(address);
  }

  /** A picture that later changes leave as it is. It costs as much as has changed since the last one. */
  holdings(): Holdings {
    if (this.#holdings && this.#changed.size === 0) return this.#holdings;
    for (const address of this.#changed) {
      const use = this.#uses.get(address);
      if (use) this.#told.set(address, this.#view(address, use));
      else this.#told.delete(address);
    }
    this.#changed.clear();
    const free = { IPv4: this.#free.lowest('IPv4'), IPv6: this.#free.lowest('IPv6') };
    this.#holdings = { uses: this.#told.snapshot(), free };
    return this.#holdings;
  }

  #unreserve(key: LoadBalancerKey, address: string, port: string): void {
    const own = this.#reserved.get(key);
    const ports = own?.get(address);
    if (!own || !ports?.delete(port)) return;
    if (ports.size === 0) own.delete(address);
    if (own.size === 0) this.#reserved.delete(key);
  }

  #view(address: string, use: Use): AddressUse {
    return { holders: [...use.holders], ports: new Map(this.#showsPorts(address, use) ? use.ports : []) };
  }

  #showsPorts(address: string, use: Use): boolean {
    return use.holders.size > 1 || this.#isShared(address);
  }

  #isShared(address: string): boolean {
    const parsed = parseIp(address);
    return parsed !== undefined && isShared(this.#pool, parsed.family);
  }
}

function lost(what: string, holder: LoadBalancerKey | undefined): BallastError {
  const message = holder === undefined ? `${what} is no longer held` : `${what} was taken by ${holder} meanwhile`;
  return new BallastError('ClaimLost', message);
}
