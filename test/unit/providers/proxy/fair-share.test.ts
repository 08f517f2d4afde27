import * as fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { ConnectionGate } from '#providers/proxy/connection-gate';
import { Ranks } from '#providers/proxy/lane-ranks';
import { desiredLoadBalancer, member } from '#test/fakes/builders';
import { Cleanup, NODE_PORT, loopback, metric, nodesOf, startWorld, until } from './rig.ts';
import { bindEcho, bindUdp } from './udp-rig.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

describe('who has most', () => {
  it('is known after every change', () => {
    const change = fc.record({ who: fc.nat(4), up: fc.boolean() });
    fc.assert(
      fc.property(fc.array(change), (changes) => {
        const ranks = new Ranks<number>();
        const counts = [0, 0, 0, 0, 0];
        for (const { who, up } of changes) {
          const from = counts[who] ?? 0;
          const to = up ? from + 1 : Math.max(0, from - 1);
          if (to === from) continue;
          counts[who] = to;
          ranks.moved(who, from, to);
          const most = Math.max(...counts);
          const top = ranks.top();
          expect(top === undefined ? 0 : counts[top]).toBe(most);
        }
      }),
    );
  });
});

describe('room for UDP sessions', () => {
  const PORTS = [5_353, 5_354];

  it('is shared: who is flooded keeps only what the others do not ask for', async () => {
    const node = { name: 'node-1', address: loopback() };
    await bindEcho(cleanup, node.name, node.address);
    const world = startWorld(cleanup, { 'proxy-health-port': 0, 'proxy-max-udp-sessions': 10 });
    const listeners = PORTS.map((port) => ({ port, protocol: 'UDP' as const, nodePort: NODE_PORT }));
    await world.reconcile(desiredLoadBalancer({ members: [member({ listeners })], nodes: nodesOf([node]) }));
    const [address = ''] = world.pool;
    const sessions = (port: number): Promise<number | undefined> =>
      metric(world.registry, 'ballast_proxy_active_connections', { port: String(port) });
    /** A client of its own for every question, as resolvers are. */
    const ask = async (port: number): Promise<void> => {
      const client = await bindUdp(cleanup, '127.0.0.1');
      client.send('question', address, port);
      await until(() => client.received.length === 1, `port ${port} answers`);
    };
    for (let count = 0; count < 15; count++) await ask(5_353);
    expect(await sessions(5_353)).toBe(10);
    for (let count = 0; count < 8; count++) {
      await ask(5_354);
      await ask(5_353);
    }
    expect([await sessions(5_353), await sessions(5_354)]).toEqual([5, 5]);
    expect(
      await metric(world.registry, 'ballast_proxy_dropped_datagrams_total', { reason: 'no-room' }),
    ).toBeUndefined();
  });

  it('goes from the lane that has most to those that have fewer, until they have the same', () => {
    const gate = new ConnectionGate(9, 0);
    const lanes = [gate.lane(), gate.lane(), gate.lane()] as const;
    const yielded = [0, 0, 0];
    for (const [index, lane] of lanes.entries()) {
      lane.yields(() => {
        yielded[index] = (yielded[index] ?? 0) + 1;
        lane.leave();
      });
    }
    const enter = (lane: (typeof lanes)[number]): boolean =>
      lane.enter(() => {}) === 'admitted' || (lane.takeOver() && lane.enter(() => {}) === 'admitted');
    for (let count = 0; count < 12; count++) enter(lanes[0]);
    for (let count = 0; count < 12; count++) for (const lane of lanes) enter(lane);
    expect(lanes.map(({ active }) => active)).toEqual([3, 3, 3]);
    expect(yielded).toEqual([6, 0, 0]);
    expect(lanes.map(enter)).toEqual([false, false, false]);
  });

  it('is not taken over by a lane that has reached its own limit', () => {
    const gate = new ConnectionGate(4, 0);
    const [busy, small] = [gate.lane(), gate.lane(1)];
    busy.yields(() => busy.leave());
    for (let count = 0; count < 3; count++) busy.enter(() => {});
    small.enter(() => {});
    expect(small.takeOver()).toBe(false);
    expect(busy.active).toBe(3);
  });
});

describe('room for TCP connections that becomes free', () => {
  it('goes first to who waits at the listener that has fewest', () => {
    const gate = new ConnectionGate(4, 9);
    const [busy, quiet] = [gate.lane(), gate.lane()];
    const order: string[] = [];
    for (let count = 0; count < 4; count++) busy.enter(() => {});
    for (const name of ['busy 1', 'busy 2']) busy.enter(() => order.push(name));
    for (const name of ['quiet 1', 'quiet 2']) quiet.enter(() => order.push(name));
    for (let count = 0; count < 4; count++) busy.leave();
    expect(order).toEqual(['quiet 1', 'quiet 2', 'busy 1', 'busy 2']);
  });

  it('is given in one go, also where who gets it ends at once', () => {
    const gate = new ConnectionGate(1, 20_000);
    const lane = gate.lane();
    lane.enter(() => {});
    let ended = 0;
    for (let count = 0; count < 10_000; count++) {
      lane.enter(() => {
        ended++;
        lane.leave();
      });
    }
    lane.leave();
    expect(ended).toBe(10_000);
    expect([gate.active, lane.active, lane.waiting]).toEqual([0, 0, 0]);
  });
});
