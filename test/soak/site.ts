/** Where a soak runs: real names for those of the script. */
import { readFileSync } from 'node:fs';
import type { AskedClass } from './script.ts';

export const NAMESPACES: readonly string[] = ['soak-a', 'soak-b'];
/** `namespace/name` of every Service that a script may use. */
export const SERVICE_NAMES: readonly string[] = NAMESPACES.flatMap((namespace) =>
  [1, 2, 3, 4, 5, 6].map((number) => `${namespace}/w${number}`),
);
export const NODE_NAMES: readonly string[] = ['n1', 'n2', 'n3', 'n4', 'n5'];
/** Fewer than there are Services, so that they run out now and then. */
export const POOL_SIZE = 8;
/** So many of the pool, from its begin, may Services of the second namespace ask for. */
const GRANTED = 6;
/** The small cloud has fewer addresses still, of IPv4 alone. */
export const CLOUD_POOL: readonly string[] = ['198.18.0.1', '198.18.0.2', '198.18.0.3', '198.18.0.4'];
/** So many of them may Services of the second namespace ask for. */
const CLOUD_GRANTED = 3;
export const PORT_COUNT = 5;
export const NODE_ADDRESSES = 8;

export const CLASSES: Readonly<Record<AskedClass, string | undefined>> = {
  own: 'ballast.dev/proxy',
  moved: 'example.com/moved',
  cloud: 'ballast.dev/cloud',
  none: undefined,
  foreign: 'example.com/foreign',
};
/** The one group that Services of another namespace may join. */
export const OPEN_GROUP = { namespace: 'soak-a', name: 'open', guests: 'soak-b' } as const;

/** The one IPv6 address that every machine has; the pool's only one, so it is shared by port. */
const IPV6 = '::1';
/** Of no pool: what another controller might publish. */
export const FOREIGN_ADDRESS = '192.0.2.77';
export const FOREIGN_FINALIZER = 'soak.example/hold';
export const FOREIGN_CONDITION = 'soak.example/Seen';

const PORT_BANDS = { first: 11_000, count: 400, size: 20 } as const;

/** The addresses and ports of one run, on loopback, apart from those of other runs on the machine. */
export class Site {
  /** IPv4 first. */
  readonly pool: readonly string[];
  readonly ipv6: boolean;
  readonly #network: string;
  readonly #firstPort: number;

  /** `number` tells runs on one machine apart: the process id will do. */
  constructor(number: number, ipv6: boolean) {
    this.#network = `127.${100 + (number % 100)}`;
    this.#firstPort = PORT_BANDS.first + (number % PORT_BANDS.count) * PORT_BANDS.size;
    this.ipv6 = ipv6;
    const ipv4 = Array.from({ length: POOL_SIZE }, (_, index) => `${this.#network}.0.${index + 1}`);
    this.pool = [...ipv4, ...(ipv6 ? [IPV6] : [])];
  }

  /** What `--proxy-addresses` says. */
  get poolFlag(): string {
    return [`${this.pool[0]}-${this.#network}.0.${POOL_SIZE}`, ...(this.ipv6 ? [IPV6] : [])].join(',');
  }

  /** What `--allow-address` says: everything for the one namespace, for the other what `mayAskFor` tells. */
  get grantsFlag(): string {
    const [all = '', some = ''] = NAMESPACES;
    const ranges = [
      `${this.pool[0]}-${this.#network}.0.${GRANTED}`,
      `${CLOUD_POOL[0]}-${CLOUD_POOL[CLOUD_GRANTED - 1]}`,
      IPV6,
    ];
    return [`*=${all}`, ...ranges.map((range) => `${range}=${some}`)].join(';');
  }

  mayAskFor(namespace: string, address: string): boolean {
    const granted = [...this.pool.slice(0, GRANTED), ...CLOUD_POOL.slice(0, CLOUD_GRANTED), IPV6];
    return namespace === NAMESPACES[0] || granted.includes(address);
  }

  port(place: number): number {
    return this.#firstPort + place;
  }

  /** Whether it is one of the band. */
  isPort(port: number): boolean {
    return port >= this.#firstPort && port < this.#firstPort + PORT_BANDS.size;
  }

  nodeAddress(place: number): string {
    return `${this.#network}.1.${place + 1}`;
  }

  /** Where the soak's own clients connect from; `inside` the ranges called `@in`. */
  client(inside: boolean): string {
    return `${this.#network}.${inside ? 2 : 3}.1`;
  }

  /** With `@3`, `@c1` and the like replaced. */
  text(value: string): string {
    return value
      .replaceAll('@in', `${this.#network}.2.0/24`)
      .replaceAll('@v6', `${IPV6}/128`)
      .replaceAll('@out', FOREIGN_ADDRESS)
      .replaceAll('@six', '0:0:0:0:0:0:0:1')
      .replaceAll(/@c(\d)/g, (_, place: string) => CLOUD_POOL[Number(place)] ?? FOREIGN_ADDRESS)
      .replaceAll(/@(\d)/g, (_, place: string) => this.pool[Number(place)] ?? FOREIGN_ADDRESS);
  }
}

/** Whether this machine has the IPv6 loopback address. */
export function hasIpv6(): boolean {
  try {
    return readFileSync('/proc/net/if_inet6', 'utf8').includes('00000000000000000000000000000001');
  } catch {
    return false;
  }
}
