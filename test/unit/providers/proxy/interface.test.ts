import { Registry } from 'prom-client';
import { afterEach, describe, expect, it } from 'vitest';
import { createProxyProvider } from '#providers/proxy/index';
import { parseProxyOptions } from '#providers/proxy/options';
import type { DesiredLoadBalancer } from '#src/loadbalancer/model';
import type { Plan, Provider } from '#src/loadbalancer/provider';
import { desiredLoadBalancer, loopbackNodes, member, serviceId } from '#test/fakes/builders';
import { silentLog } from '#test/fakes/log';
import { FakeIp } from './fake-ip.ts';
import { Cleanup, context, loopback, until } from './rig.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

interface Rig {
  readonly ip: FakeIp;
  readonly provider: Provider;
  readonly stop: () => Promise<void>;
}

/** The addresses are loopback ones, so listening works; what `ip` is told is what counts. */
function rig(pool: readonly string[], ip: FakeIp = new FakeIp()): Rig {
  const options = parseProxyOptions({ 'proxy-addresses': pool, 'proxy-interface': 'eth0', 'proxy-health-port': 0 });
  const provider = createProxyProvider(options, { log: silentLog, registry: new Registry(), runIp: ip.run });
  const abort = new AbortController();
  const running = provider.run(abort.signal);
  const stop = async (): Promise<void> => {
    abort.abort();
    await running;
  };
  cleanup.add(stop);
  return { ip, provider, stop };
}

/** 127.0.0.0/8 is local without being listed; an interface address is only added where it is not. */
function listed(address: string): string {
  return address.replace(/^127\./, '10.');
}

function named(name: string, port = 8_080): DesiredLoadBalancer {
  const id = serviceId(name);
  return desiredLoadBalancer({ id, members: [member({ name, listeners: [{ port }] })], nodes: loopbackNodes(1) });
}

async function reconcile(
  provider: Provider,
  id: DesiredLoadBalancer['id'],
  desired?: DesiredLoadBalancer,
): Promise<Plan> {
  const plan = provider.plan(desired, await provider.observe(id, context()));
  for (const step of plan.steps) {
    if (step.kind !== 'openListener' && step.kind !== 'closeListener') await provider.apply(step, context());
  }
  return plan;
}

describe('with an interface, the provider', () => {
  it('adds an address while it is in use, and removes it afterwards', async () => {
    const address = listed(loopback());
    const { ip, provider } = rig([address, listed(loopback())]);
    provider.restore([]);
    const desired = named('web');
    const plan = await reconcile(provider, desired.id, desired);
    expect(plan.steps.map(({ kind }) => kind)).toEqual([
      'setTargets',
      'assignAddress',
      'addInterfaceAddress',
      'openListener',
    ]);
    expect(ip.on('eth0')).toContain(address);
    await reconcile(provider, desired.id);
    expect(ip.on('eth0')).not.toContain(address);
  });

  it('keeps a shared address until the last one that uses it goes', async () => {
    const address = listed(loopback());
    const { ip, provider } = rig([address]);
    provider.restore([]);
    for (const desired of [named('a', 8_080), named('b', 8_081)]) await reconcile(provider, desired.id, desired);
    await reconcile(provider, serviceId('a'));
    expect(ip.on('eth0')).toContain(address);
    await reconcile(provider, serviceId('b'));
    expect(ip.on('eth0')).not.toContain(address);
  });

  it('keeps its claim on an address that it could not remove', async () => {
    const address = listed(loopback());
    const { ip, provider } = rig([address, listed(loopback())]);
    provider.restore([]);
    const desired = named('web');
    await reconcile(provider, desired.id, desired);
    ip.failWith = 'RTNETLINK answers: Operation not permitted';
    await expect(reconcile(provider, desired.id)).rejects.toMatchObject({ code: 'InterfaceFailed' });
    const observed = await provider.observe(desired.id, context());
    expect(provider.holders(observed)).toEqual(['uid-web']);
    await reconcile(provider, desired.id);
    expect(ip.on('eth0')).not.toContain(address);
    expect(await provider.inventory(context())).toEqual([]);
  });

  it('after a crash keeps what is in use, removes the rest, and touches nothing else', async () => {
    const pool = [listed(loopback()), listed(loopback()), listed(loopback())];
    const ip = new FakeIp();
    for (const local of [...pool.slice(0, 2), '10.255.0.1']) {
      ip.entries.push({ device: 'eth0', family: 'inet', local, prefixlen: 32, metric: 47_633 });
    }
    ip.entries.push({ device: 'eth0', family: 'inet', local: pool[2] ?? '', prefixlen: 32 });
    const { provider } = rig(pool, ip);
    provider.restore([{ id: serviceId('web'), addresses: [pool[1] ?? ''] }]);
    await until(() => !ip.on('eth0').includes(pool[0] ?? ''), 'what nobody uses is removed');
    await until(() => !ip.on('eth0').includes('10.255.0.1'), 'so is what is no longer in the pool');
    // The last one somebody else put there.
    expect(ip.on('eth0')).toEqual(['192.0.2.250', 'fe80::1', pool[1], pool[2]]);
    const desired = named('web');
    const plan = await reconcile(provider, desired.id, { ...desired, publishedAddresses: [pool[1] ?? ''] });
    expect(plan.steps.map(({ kind }) => kind)).toEqual(['setTargets', 'openListener']);
  });

  it('takes its addresses off when it ends, for another replica may answer at them', async () => {
    const address = listed(loopback());
    const { ip, provider, stop } = rig([address, listed(loopback())]);
    provider.restore([]);
    const desired = named('web');
    await reconcile(provider, desired.id, desired);
    await stop();
    expect(ip.on('eth0')).toEqual(['192.0.2.250', 'fe80::1']);
  });

  it('changes nothing by looking, before it runs', async () => {
    const ip = new FakeIp();
    const address = listed(loopback());
    ip.entries.push({ device: 'eth0', family: 'inet', local: address, prefixlen: 32, metric: 47_633 });
    const options = parseProxyOptions({ 'proxy-addresses': [address], 'proxy-interface': 'eth0' });
    const provider = createProxyProvider(options, { log: silentLog, registry: new Registry(), runIp: ip.run });
    provider.restore([]);
    const desired = named('web');
    provider.plan(desired, await provider.observe(desired.id, context()));
    await provider.inventory(context());
    expect(ip.calls).toEqual(['-j addr show']);
  });
});
