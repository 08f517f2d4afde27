import { parseIp } from '#src/loadbalancer/ip';
import type { IpFamily } from '#src/loadbalancer/model';
import { isShared, lowestFree, type Pool } from './pool.ts';

/** Knows the lowest free address of each family without looking at all that are taken, however many those are. */
export class FreeAddresses {
  readonly #pool: Pool;
  readonly #isTaken: (address: string) => boolean;
  /** Everything below is taken. */
  readonly #from: Record<IpFamily, bigint> = { IPv4: 0n, IPv6: 0n };

  constructor(pool: Pool, isTaken: (address: string) => boolean) {
    this.#pool = pool;
    this.#isTaken = isTaken;
  }

  /** The lowest that nobody has; where the pool has a single one of the family, that one, because all share it. */
  lowest(family: IpFamily): string | undefined {
    const isTaken = isShared(this.#pool, family) ? () => false : this.#isTaken;
    const free = lowestFree(this.#pool, family, isTaken, this.#from[family]);
    if (free && !isShared(this.#pool, family)) this.#from[family] = free.value;
    return free?.text;
  }

  /** The address is taken no longer. */
  freed(address: string): void {
    const parsed = parseIp(address);
    if (parsed && parsed.value < this.#from[parsed.family]) this.#from[parsed.family] = parsed.value;
  }
}
