import { Socket } from 'node:dgram';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { faultOf } from '#providers/proxy/local-fault';
import { Cleanup, loopback, metric, startWorld, until, type World } from './rig.ts';
import { bindEcho, bindUdp, dns } from './udp-rig.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());
afterEach(() => vi.restoreAllMocks());

const PORT = 5_353;
/** The kernel refuses to connect there, as it does where it knows no way. */
const UNREACHABLE = { name: 'node-1', address: '255.255.255.255' };

const dropped = (world: World, reason: string): Promise<number | undefined> =>
  metric(world.registry, 'ballast_proxy_dropped_datagrams_total', { reason });

describe('a UDP session whose node cannot be connected to', () => {
  it('sends its first datagram to another node', async () => {
    const good = { name: 'node-2', address: loopback() };
    await bindEcho(cleanup, good.name, good.address);
    const world = startWorld(cleanup, { 'proxy-health-port': 0 });
    await world.reconcile(dns([UNREACHABLE, good]));
    for (let count = 0; count < 4; count++) {
      const client = await bindUdp(cleanup, '127.0.0.1');
      client.send('hello', world.pool[0] ?? '', PORT);
      expect(await client.next()).toBe('node-2 heard hello');
    }
  });

  it('drops and counts what it cannot send anywhere, and works as soon as it can', async () => {
    const world = startWorld(cleanup, { 'proxy-health-port': 0 });
    await world.reconcile(dns([UNREACHABLE]));
    const client = await bindUdp(cleanup, '127.0.0.1');
    for (const text of ['one', 'two', 'three']) client.send(text, world.pool[0] ?? '', PORT);
    await until(async () => (await dropped(world, 'no-target')) === 3, 'all are dropped');
    const good = { name: 'node-2', address: loopback() };
    await bindEcho(cleanup, good.name, good.address);
    await world.reconcile(dns([good]));
    client.send('four', world.pool[0] ?? '', PORT);
    expect(await client.next()).toBe('node-2 heard four');
  });

  it('survives sockets that cannot be made for want of descriptors', async () => {
    const node = { name: 'node-1', address: loopback() };
    await bindEcho(cleanup, node.name, node.address);
    const world = startWorld(cleanup, { 'proxy-health-port': 0 });
    await world.reconcile(dns([node]));
    const client = await bindUdp(cleanup, '127.0.0.1');
    const connect = vi.spyOn(Socket.prototype, 'connect').mockImplementation((...args: readonly unknown[]) => {
      const done = args.at(-1);
      const error = Object.assign(new Error('too many open files'), { code: 'EMFILE' });
      if (typeof done === 'function') process.nextTick(done, error);
    });
    client.send('one', world.pool[0] ?? '', PORT);
    await until(async () => (await dropped(world, 'send-failed')) === 1, 'it is dropped');
    const failed = { node: 'node-1', result: 'failed' };
    expect(await metric(world.registry, 'ballast_proxy_target_connections_total', failed)).toBeUndefined();
    connect.mockRestore();
    client.send('two', world.pool[0] ?? '', PORT);
    expect(await client.next()).toBe('node-1 heard two');
  });
});

describe('a UDP listener', () => {
  it('drops and counts datagrams from port 0, which cannot be answered', async () => {
    const bind = vi.spyOn(Socket.prototype, 'bind');
    const node = { name: 'node-1', address: loopback() };
    const echo = await bindEcho(cleanup, node.name, node.address);
    const world = startWorld(cleanup, { 'proxy-health-port': 0 });
    await world.reconcile(dns([node]));
    const sockets = bind.mock.contexts.filter((each) => each instanceof Socket);
    const listening = sockets.find((socket) => socket.address().port === PORT);
    const from = { address: '127.0.0.1', family: 'IPv4', port: 0, size: 2 };
    listening?.emit('message', Buffer.from('hi'), from);
    expect(await dropped(world, 'no-port')).toBe(1);
    const client = await bindUdp(cleanup, '127.0.0.1');
    client.send('hello', world.pool[0] ?? '', PORT);
    expect(await client.next()).toBe('node-1 heard hello');
    expect(echo.received).toEqual(['hello']);
  });

  it('survives answers that cannot be sent', async () => {
    const node = { name: 'node-1', address: loopback() };
    const echo = await bindEcho(cleanup, node.name, node.address);
    const world = startWorld(cleanup, { 'proxy-health-port': 0 });
    await world.reconcile(dns([node]));
    const client = await bindUdp(cleanup, '127.0.0.1');
    const send = vi.spyOn(Socket.prototype, 'getSendQueueSize').mockImplementation(function (this: Socket) {
      if (this.address().port === PORT) throw new RangeError('port 0');
      return 0;
    });
    client.send('hello', world.pool[0] ?? '', PORT);
    await until(async () => (await dropped(world, 'send-failed')) === 1, 'the answer is dropped');
    expect(echo.received).toEqual(['hello']);
    send.mockRestore();
    client.send('again', world.pool[0] ?? '', PORT);
    expect(await client.next()).toBe('node-1 heard again');
  });
});

describe('whose fault it is that a target was not reached', () => {
  for (const [code, fault] of [
    ['EMFILE', 'machine'],
    ['EADDRNOTAVAIL', 'ports'],
    ['ENETUNREACH', 'route'],
    ['ENETDOWN', 'route'],
    ['ECONNREFUSED', 'target'],
    [undefined, 'target'],
  ] as const) {
    it(`is the ${fault}'s with ${code}`, () => {
      expect(faultOf(Object.assign(new Error('x'), { code }))).toBe(fault);
    });
  }
});
