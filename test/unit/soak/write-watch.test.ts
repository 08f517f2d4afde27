import { createServer } from 'node:http';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { FaultProxy } from '#test/chaos/fault-proxy';
import { WriteWatch } from '#test/soak/write-watch';
import { freePort } from '#test/control-plane/free-port';

/** Leases that no test outlives, or that has no time at all. */
const FOR_EVER = 1e12;
const OVER_AT_ONCE = -1e12;
const SERVICE = '/api/v1/namespaces/soak-a/services/w1/status';

/** A process that writes through the proxies. */
class Writer implements AsyncDisposable {
  readonly watch: WriteWatch;
  readonly #stack: AsyncDisposableStack;
  readonly #api: FaultProxy;
  readonly #cloud: FaultProxy;

  private constructor(stack: AsyncDisposableStack, leaseMs: number, [api, cloud]: readonly [FaultProxy, FaultProxy]) {
    this.#stack = stack;
    this.#api = api;
    this.#cloud = cloud;
    this.watch = stack.use(new WriteWatch(leaseMs));
    this.watch.follow({ name: 'controller-1', proxy: api, cloudProxy: cloud, lastWords: () => 'last words' });
    this.watch.begin(0);
  }

  static async start(leaseMs: number): Promise<Writer> {
    await using stack = new AsyncDisposableStack();
    const port = await freePort();
    const server = createServer((request, response) => request.resume().on('end', () => response.end('{}')));
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    stack.defer(() => {
      server.closeAllConnections();
      server.close();
    });
    const target = `http://127.0.0.1:${port}`;
    const api = stack.use(await FaultProxy.start({ target }));
    const cloud = stack.use(await FaultProxy.start({ target }));
    return new Writer(stack.move(), leaseMs, [api, cloud]);
  }

  async lease(holderIdentity: string): Promise<void> {
    const body = JSON.stringify({ spec: { holderIdentity } });
    const path = '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/ballast-controller';
    await (await fetch(`${this.#api.url}${path}`, { method: 'PUT', body })).text();
  }

  async patch(): Promise<void> {
    await (await fetch(`${this.#api.url}${SERVICE}`, { method: 'PATCH', body: '{}' })).text();
  }

  async ask(): Promise<void> {
    await (await fetch(`${this.#cloud.url}/createBalancer`, { method: 'POST', body: '{}' })).text();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

describe('the watch over what is written', () => {
  it('lets the holder of the Lease write', async () => {
    await using writer = await Writer.start(FOR_EVER);
    await writer.lease('a');
    for (let count = 0; count < 5; count += 1) await writer.patch();
    await writer.ask();
    expect(writer.watch.complaints).toEqual([]);
    expect(writer.watch.mostToOneService).toBe(5);
    expect(writer.watch.toCloud).toBe(1);
  });

  it.each([
    ['to the API server', 'patch'],
    ['to the cloud', 'ask'],
  ] as const)('forgives one write %s after the Lease has run out, and no second', async (_, write) => {
    await using writer = await Writer.start(OVER_AT_ONCE);
    await writer.lease('a');
    await writer[write]();
    expect(writer.watch.complaints).toEqual([]);
    await writer[write]();
    expect(writer.watch.complaints.join()).toContain('controller-1 wrote without the Lease');
  });

  it('complains of whoever never had the Lease', async () => {
    await using writer = await Writer.start(FOR_EVER);
    await writer.ask();
    expect(writer.watch.complaints.join()).toContain('it never had it');
  });

  it('complains of a Service that is written again and again, once for each round', async () => {
    await using writer = await Writer.start(FOR_EVER);
    await writer.lease('a');
    for (let count = 0; count < 60; count += 1) await writer.patch();
    expect(writer.watch.complaints.join()).toContain('/api/v1/namespaces/soak-a/services/w1 was written 31 times');
    expect(writer.watch.complaints).toHaveLength(2);
    writer.watch.begin(0);
    expect(writer.watch.mostToOneService).toBe(0);
  });
});
