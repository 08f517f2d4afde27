import { afterEach, describe, expect, it } from 'vitest';
import { Cleanup, metric, startNode, startWorld, until, type FakeNode, type World } from './rig.ts';
import { bindEcho, bindUdp, dns } from './udp-rig.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const PORT = 5_353;

/** Two nodes, of which the second fails its health check, and both are known. */
async function lagging(): Promise<{ readonly world: World; readonly passing: FakeNode; readonly failing: FakeNode }> {
  const passing = await startNode(cleanup, 'node-1', { serve: undefined });
  const failing = await startNode(cleanup, 'node-2', { serve: undefined });
  failing.healthStatus = 503;
  const world = startWorld(cleanup);
  await world.reconcile(dns([passing, failing]));
  const isHealthy = (node: string): Promise<number | undefined> =>
    metric(world.registry, 'ballast_proxy_target_healthy', { node });
  await until(async () => (await isHealthy('node-1')) === 1, 'the one is known to be healthy');
  await until(async () => (await isHealthy('node-2')) === 0, 'the other is known not to be');
  return { world, passing, failing };
}

// As when a pod has just moved to another node and the health checks have not seen it yet.
describe('a UDP session whose pod is where no health check says it is', () => {
  it('finds it, and stays there as long as the healthy node refuses', async () => {
    const { world, failing } = await lagging();
    const echo = await bindEcho(cleanup, 'node-2', failing.address);
    const client = await bindUdp(cleanup, '127.0.0.1');
    for (let count = 0; count < 10; count++) {
      client.send(`hello ${count}`, world.pool[0] ?? '', PORT);
      expect(await client.next()).toBe(`node-2 heard hello ${count}`);
    }
    expect(new Set(echo.senders.map(({ port }) => port)).size, 'sockets that it took').toBe(1);
  });

  it('goes back to the healthy node once that answers again, also when the other falls silent', async () => {
    const { world, passing, failing } = await lagging();
    const silent = await bindUdp(cleanup, failing.address, 30_080);
    const client = await bindUdp(cleanup, '127.0.0.1');
    client.send('anybody?', world.pool[0] ?? '', PORT);
    await until(() => silent.received.length === 1, 'the unhealthy node has heard it');
    await bindEcho(cleanup, 'node-1', passing.address);
    let answer = '';
    for (let tries = 0; tries < 100 && answer === ''; tries++) {
      client.send('again', world.pool[0] ?? '', PORT);
      await new Promise((resolve) => setTimeout(resolve, 100));
      answer = client.received[0] ?? '';
    }
    expect(answer).toBe('node-1 heard again');
  });
});
