/** Services as users make them, and how long they wait for their address. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Service } from '#src/kube/wire';
import { hasAddress, type Driver, type WatchEvent } from './driver.ts';
import { until } from './until.ts';

const COLLECTION = '/api/v1/namespaces/default/services';
const PREFIX = 'bench-';

/** Follows all Services of a run, and notes when each got its address and when it was gone. */
export class ServiceWatch implements Disposable {
  /** By name: `performance.now()`. */
  readonly addressedAt: Map<string, number> = new Map();
  readonly gone: Set<string> = new Set();
  readonly #stop = new AbortController();

  static async start(driver: Driver): Promise<ServiceWatch> {
    const watch = new ServiceWatch();
    const see = ({ type, object }: WatchEvent<Service>): void => watch.#see(type, object);
    await driver.watch(COLLECTION, see, watch.#stop.signal);
    return watch;
  }

  /** Resolves when that many of those with the prefix have an address. */
  async untilAddressed(names: readonly string[]): Promise<void> {
    await until(`${names.length} Services to have an address`, () => names.every((name) => this.addressedAt.has(name)));
  }

  async untilGone(names: readonly string[]): Promise<void> {
    await until(`${names.length} Services to be gone`, () => names.every((name) => this.gone.has(name)));
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
  }

  #see(type: string, service: Service): void {
    const { name } = service.metadata;
    if (!name.startsWith(PREFIX)) return;
    if (type === 'DELETED') this.gone.add(name);
    else if (!this.addressedAt.has(name) && hasAddress(service)) this.addressedAt.set(name, performance.now());
  }
}

/** `count` names of one batch. */
export function namesOf(batch: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${PREFIX}${batch}-${String(index).padStart(5, '0')}`);
}

export async function createService(driver: Driver, name: string): Promise<void> {
  await driver.send('POST', COLLECTION, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: {
      type: 'LoadBalancer',
      // 4,000 Services have no room in the range of NodePorts, and nobody here needs one.
      allocateLoadBalancerNodePorts: false,
      selector: { app: 'web' },
      ports: [{ port: 80, targetPort: 8080 }],
    },
  });
}

/** Creates them all; seconds that it took, and when each was asked for. */
export async function createServices(
  driver: Driver,
  names: readonly string[],
): Promise<{ readonly seconds: number; readonly askedAt: ReadonlyMap<string, number> }> {
  const askedAt = new Map<string, number>();
  const seconds = await driver.each(names.length, async (index) => {
    const name = names[index] ?? '';
    askedAt.set(name, performance.now());
    await createService(driver, name);
  });
  return { seconds, askedAt };
}

/** Deletes them all and waits until they are gone; seconds that it took. */
export async function deleteServices(driver: Driver, watch: ServiceWatch, names: readonly string[]): Promise<number> {
  const startedAt = performance.now();
  await driver.each(names.length, (index) => driver.send('DELETE', `${COLLECTION}/${names[index]}`));
  await watch.untilGone(names);
  return (performance.now() - startedAt) / 1000;
}

/** Creates one after the other, each when the one before has its address; milliseconds that each waited. */
export async function createOneByOne(
  driver: Driver,
  watch: ServiceWatch,
  names: readonly string[],
): Promise<readonly number[]> {
  const waits: number[] = [];
  for (const name of names) {
    const askedAt = performance.now();
    await createService(driver, name);
    await until(`${name} to have an address`, async () => watch.addressedAt.has(name), { everyMs: 1 });
    waits.push((watch.addressedAt.get(name) ?? Number.NaN) - askedAt);
    // A pause, so that no work on one counts for the next.
    await delay(10);
  }
  return waits;
}

/** Milliseconds from the request to the address. */
export function latencies(watch: ServiceWatch, askedAt: ReadonlyMap<string, number>): readonly number[] {
  return [...askedAt].map(([name, at]) => (watch.addressedAt.get(name) ?? Number.NaN) - at);
}
