import { Registry } from 'prom-client';
import { afterEach, describe, expect, it } from 'vitest';
import { createProxyProvider } from '#providers/proxy/index';
import { InterfaceAddresses, type RunIp } from '#providers/proxy/interface-addresses';
import { parseProxyOptions } from '#providers/proxy/options';
import { keyOf } from '#src/loadbalancer/identity';
import type { DesiredLoadBalancer } from '#src/loadbalancer/model';
import type { Plan, Provider } from '#src/loadbalancer/provider';
import { desiredLoadBalancer, loopbackNodes, member, serviceId } from '#test/fakes/builders';
import { silentLog } from '#test/fakes/log';
import { FakeIp } from './fake-ip.ts';
import { Cleanup, NODE_PORT, context, dialClient, loopback, nodesOf, startNode, until } from './rig.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

function start(pool: readonly string[], run: RunIp): Provider {
  const options = parseProxyOptions({ 'proxy-addresses': pool, 'proxy-interface': 'eth0', 'proxy-health-port': 0 });
  const provider = createProxyProvider(options, { log: silentLog, registry: new Registry(), runIp: run });
  const abort = new AbortController();
  const running = provider.run(abort.signal);
  provider.restore([]);
  cleanup.add(async () => {
    abort.abort();
    await running;
  });
  return provider;
}

type IsApplied = (kind: string) => boolean;

async function pass(
  provider: Provider,
  id: DesiredLoadBalancer['id'],
  desired?: DesiredLoadBalancer,
  isApplied: IsApplied = () => true,
): Promise<Plan> {
  const plan = provider.plan(desired, await provider.observe(id, context()));
  for (const step of plan.steps) if (isApplied(step.kind)) await provider.apply(step, context());
  return plan;
}

const kinds = ({ steps }: Plan): readonly string[] => steps.map(({ kind }) => kind);

describe('an address with connections over it', () => {
  it('stays on the interface until the last of them has ended, and goes then', async () => {
    const node = await startNode(cleanup, 'node-1', { serve: (socket) => socket.pipe(socket) });
    const address = loopback();
    const ip = new FakeIp();
    // What `ip addr add` would have left, were it an address that is not on every machine.
    ip.entries.push({ device: 'eth0', family: 'inet', local: address, prefixlen: 32, metric: 47_633 });
    const provider = start([address, loopback()], ip.run);
    const changed: string[] = [];
    provider.onChange((id) => changed.push(keyOf(id)));
    const id = serviceId('web');
    const listeners = [{ port: 8_080, nodePort: NODE_PORT }];
    const desired = desiredLoadBalancer({ id, members: [member({ listeners })], nodes: nodesOf([node]) });
    // Held before the first look, so that it is not swept away as a leftover.
    await until(async () => !ip.on('eth0').includes(address), 'the leftover is swept away');
    await pass(provider, id, desired);
    ip.entries.push({ device: 'eth0', family: 'inet', local: address, prefixlen: 32, metric: 47_633 });
    const client = await dialClient(address, 8_080, cleanup);
    const echo = async (text: string): Promise<string> => {
      const heard = new Promise<string>((resolve, reject) => {
        client.once('data', (data: Buffer) => resolve(data.toString()));
        client.once('error', reject);
      });
      client.write(text);
      return heard;
    };
    expect(await echo('before')).toBe('before');
    await until(async () => {
      const observed = await provider.observe(id, context());
      return Object(observed).local.has(address);
    }, 'the address is seen on the interface');

    expect(kinds(await pass(provider, id))).toEqual(['closeListener']);
    expect(ip.on('eth0')).toContain(address);
    expect(await echo('after')).toBe('after');
    expect(provider.holders(await provider.observe(id, context()))).toEqual(['uid-web']);
    expect(kinds(await pass(provider, id))).toEqual([]);
    client.end();
    await until(() => changed.includes(keyOf(id)), 'the end of the connection is told');
    expect(kinds(await pass(provider, id))).toEqual(['releaseAddress', 'dropTargets']);
    expect(ip.on('eth0')).not.toContain(address);
  });

  it('is looked at again when the last of them ended between planning and closing', async () => {
    const node = await startNode(cleanup, 'node-1', { serve: (socket) => socket.pipe(socket) });
    const provider = start([loopback(), loopback()], new FakeIp().run);
    const changed: string[] = [];
    provider.onChange((id) => changed.push(keyOf(id)));
    const id = serviceId('web');
    const listeners = [{ port: 8_080, nodePort: NODE_PORT }];
    const desired = desiredLoadBalancer({ id, members: [member({ listeners })], nodes: nodesOf([node]) });
    await pass(provider, id, desired);
    const [address = ''] = Object(await provider.observe(id, context())).addresses;
    const client = await dialClient(address, 8_080, cleanup);
    await until(() => node.sockets.size === 1, 'the client is served');
    const plan = provider.plan(undefined, await provider.observe(id, context()));
    expect(kinds(plan)).toEqual(['closeListener']);
    client.end();
    const isQuiet = async (): Promise<boolean> => Object(await provider.observe(id, context())).draining.length === 0;
    await until(isQuiet, 'the connection has ended');
    expect(changed).toEqual([]);
    for (const step of plan.steps) await provider.apply(step, context());
    await until(() => changed.includes(keyOf(id)), 'it is told that there is something to do');
    expect(kinds(await pass(provider, id))).toEqual(['releaseAddress', 'dropTargets']);
  });
});

describe('a shared address that its last holder leaves while another comes', () => {
  const SHARED = '10.1.2.3';
  const withoutSockets: IsApplied = (kind) => kind !== 'openListener' && kind !== 'closeListener';
  const named = (name: string): DesiredLoadBalancer => {
    const members = [member({ name, listeners: [{ port: 8_080 }] })];
    return desiredLoadBalancer({ id: serviceId(name), members, nodes: loopbackNodes(1) });
  };

  it('is on the interface in the end', async () => {
    const ip = new FakeIp();
    const deleting = Promise.withResolvers<void>();
    const mayDelete = Promise.withResolvers<void>();
    const provider = start([SHARED], async (args, signal) => {
      if (args[1] === 'del') {
        deleting.resolve();
        await mayDelete.promise;
      }
      return ip.run(args, signal);
    });
    await pass(provider, serviceId('a'), named('a'), withoutSockets);
    expect(ip.on('eth0')).toContain(SHARED);
    const leaving = pass(provider, serviceId('a'), undefined, withoutSockets);
    await deleting.promise;
    // It is still there to be seen.
    expect(kinds(await pass(provider, serviceId('b'), named('b'), withoutSockets))).not.toContain(
      'addInterfaceAddress',
    );
    mayDelete.resolve();
    await leaving;
    expect(ip.on('eth0')).toContain(SHARED);
    expect(Object(await provider.observe(serviceId('b'), context())).addresses).toEqual([SHARED]);
    await pass(provider, serviceId('b'), undefined, withoutSockets);
    expect(ip.on('eth0')).not.toContain(SHARED);
  });

  it('is not taken off at all when the other comes while the interface is read', async () => {
    const ip = new FakeIp();
    let now = 0;
    let whileReading = (): void => {};
    const run: RunIp = async (args, signal) => {
      if (args[0] === '-j') whileReading();
      return ip.run(args, signal);
    };
    const clock = { now: () => now, after: () => () => {} };
    const addresses = new InterfaceAddresses('eth0', run, clock, () => {});
    const { signal } = new AbortController();
    await addresses.add(SHARED, signal);
    now += 60_000;
    let isWanted = false;
    whileReading = () => (isWanted = true);
    await addresses.remove(SHARED, () => !isWanted, signal);
    expect(ip.calls.filter((call) => call.includes('del'))).toEqual([]);
    expect(ip.on('eth0')).toContain(SHARED);
  });
});
