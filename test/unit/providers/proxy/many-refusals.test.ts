import { afterEach, describe, expect, it } from 'vitest';
import { Cleanup, loopback, metric, startWorld, until } from './rig.ts';
import { bindUdp, dns } from './udp-rig.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

describe('a datagram that every node refuses', () => {
  it('is tried on so many nodes and then dropped, however many there are', async () => {
    const nodes = Array.from({ length: 60 }, (_, index) => ({ name: `node-${index}`, address: loopback() }));
    const world = startWorld(cleanup, { 'proxy-health-port': 0, 'proxy-connect-attempts': 5 });
    await world.reconcile(dns(nodes));
    const client = await bindUdp(cleanup, '127.0.0.1');
    for (let count = 1; count <= 3; count++) {
      client.send('anybody?', world.pool[0] ?? '', 5_353);
      const dropped = (): Promise<number | undefined> =>
        metric(world.registry, 'ballast_proxy_dropped_datagrams_total', { reason: 'no-target' });
      await until(async () => (await dropped()) === count, 'it is dropped');
      expect(await metric(world.registry, 'ballast_proxy_retries_total', {})).toBe(4 * count);
    }
  });
});
