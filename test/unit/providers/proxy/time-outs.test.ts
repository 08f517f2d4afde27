import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { Registry } from 'prom-client';
import { createProxyProvider } from '#providers/proxy/index';
import { parseProxyOptions } from '#providers/proxy/options';
import type { MemberSettings } from '#src/loadbalancer/model';
import { desiredLoadBalancer, member } from '#test/fakes/builders';
import { FakeClock } from '#test/fakes/clock';
import { silentLog } from '#test/fakes/log';
import { Cleanup, NODE_PORT, context, dialClient, endOf, loopback, metric, nodesOf, startNode, until } from './rig.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

interface Timed {
  readonly clock: FakeClock;
  readonly registry: Registry;
  readonly connect: () => Promise<Socket>;
  readonly accepted: () => number;
  readonly set: (settings: MemberSettings) => Promise<void>;
}

/** An echo behind a proxy whose time stands still. */
async function timed(settings: MemberSettings): Promise<Timed> {
  const clock = new FakeClock();
  const registry = new Registry();
  const address = loopback();
  const node = await startNode(cleanup, 'node-1', { serve: (socket) => socket.pipe(socket) });
  const options = parseProxyOptions({ 'proxy-addresses': [address], 'proxy-health-port': 0 });
  const provider = createProxyProvider({ ...options, shutdownTimeoutMs: 0 }, { log: silentLog, registry, clock });
  const abort = new AbortController();
  const running = provider.run(abort.signal);
  cleanup.add(async () => {
    abort.abort();
    await running;
  });
  provider.restore([]);
  const set = async (to: MemberSettings): Promise<void> => {
    const members = [member({ listeners: [{ port: 8_080, nodePort: NODE_PORT }], settings: to })];
    const desired = desiredLoadBalancer({ members, nodes: nodesOf([node]) });
    const { steps } = provider.plan(desired, await provider.observe(desired.id, context()));
    for (const step of steps) await provider.apply(step, context());
  };
  await set(settings);
  return { clock, registry, set, connect: () => dialClient(address, 8_080, cleanup), accepted: () => node.accepted };
}

describe('the time-outs of a connection', () => {
  it('let nobody wait for room for longer than 15 s, however long it may be silent', async () => {
    const { clock, registry, connect, accepted } = await timed({ maxConnections: 1, idleTimeoutSeconds: 3_600 });
    const first = await connect();
    await until(() => accepted() === 1, 'the first is served');
    const second = await connect();
    const end = endOf(second);
    const waiting = (): Promise<number | undefined> => metric(registry, 'ballast_proxy_waiting_connections', {});
    await until(async () => (await waiting()) === 1, 'the second waits');
    await clock.advance(14_999);
    expect(await waiting()).toBe(1);
    await clock.advance(1);
    expect(await waiting()).toBe(0);
    expect(await end).toBe('ECONNRESET');
    expect(first.destroyed).toBe(false);
  });

  it('count from its admission for one that has waited', async () => {
    const { clock, connect, accepted } = await timed({ maxConnections: 1, idleTimeoutSeconds: 20 });
    const first = await connect();
    await until(() => accepted() === 1, 'the first is served');
    const second = await connect();
    await clock.advance(10_000);
    first.destroy();
    await until(() => accepted() === 2, 'the second is served');
    await clock.advance(19_999);
    const echoed = new Promise<string>((resolve) => second.once('data', (data: Buffer) => resolve(data.toString())));
    second.write('still here');
    expect(await echoed).toBe('still here');
  });

  it('follow a shortened idle time-out while it is open', async () => {
    const { clock, connect, accepted, set } = await timed({ idleTimeoutSeconds: 3_600 });
    const client = await connect();
    const end = endOf(client);
    await until(() => accepted() === 1, 'it is served');
    await clock.advance(5_000);
    await set({ idleTimeoutSeconds: 10 });
    await clock.advance(4_999);
    expect(client.destroyed).toBe(false);
    await clock.advance(1);
    expect(await end).toBe('ECONNRESET');
  });
});
