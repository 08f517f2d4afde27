import { once } from 'node:events';
import type { Socket } from 'node:net';
import { Registry } from 'prom-client';
import { afterEach, describe, expect, it } from 'vitest';
import { addressesInUse, parseSockets } from '#providers/proxy/addresses-in-use';
import { createProxyProvider } from '#providers/proxy/index';
import type { RunIp } from '#providers/proxy/interface-addresses';
import { parseProxyOptions } from '#providers/proxy/options';
import { BallastError } from '#src/errors';
import type { PlanStep, Provider } from '#src/loadbalancer/provider';
import { desiredLoadBalancer, member, serviceId } from '#test/fakes/builders';
import { captureLog, type CapturedLog } from '#test/fakes/log';
import { Cleanup, NODE_PORT, context, dialClient, endOf, loopback, nodesOf, startNode, until } from './rig.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const OURS = 47_633;
/** Longer than anything takes that does not wait for it. */
const SHUTDOWN_MS = 12_000;

/** A machine with one interface; addresses with their metric. */
class Machine {
  readonly addresses = new Map<string, number | undefined>();
  readonly inUse = new Set<string>();
  broken = false;
  beforeAdd: () => Promise<void> = async () => {};
  readonly run: RunIp = async (args) => {
    if (this.broken) throw new Error('RTNETLINK answers: Operation not permitted');
    const [verb, what, cidr = ''] = args[0] === '-j' ? ['addr', 'show'] : args;
    const address = cidr.split('/')[0] ?? '';
    if (verb !== 'addr') throw new Error(`no such command: ${args.join(' ')}`);
    if (what === 'add') await this.beforeAdd();
    if (what === 'add') this.addresses.set(address, Number(args[args.indexOf('metric') + 1]));
    if (what === 'del') this.addresses.delete(address);
    const infos = [...this.addresses].map(([local, metric]) => ({ local, prefixlen: 32, metric }));
    return JSON.stringify([{ ifname: 'eth0', addr_info: infos }]);
  };
}

interface Proxy {
  readonly provider: Provider;
  readonly abort: AbortController;
  readonly log: CapturedLog;
  run(): Promise<void>;
}

function proxyOn(machine: Machine, pool: readonly string[], raw: Readonly<Record<string, unknown>> = {}): Proxy {
  const log = captureLog();
  const provider: Provider = createProxyProvider(
    parseProxyOptions({ 'proxy-addresses': pool, 'proxy-interface': 'eth0', 'proxy-health-port': 0, ...raw }),
    { log: log.log, registry: new Registry(), runIp: machine.run, addressesInUse: async () => machine.inUse },
  );
  const abort = new AbortController();
  let running: Promise<void> = Promise.resolve();
  cleanup.add(async () => {
    abort.abort();
    await running;
  });
  return { provider, abort, log, run: () => (running = provider.run(abort.signal)) };
}

interface InUse {
  readonly machine: Machine;
  readonly address: string;
  readonly client: Socket;
  readonly running: Promise<void>;
  readonly abort: AbortController;
}

describe('the proxy with an interface', () => {
  it('does not count as all in the process, because addresses outlive it', () => {
    expect(proxyOn(new Machine(), ['192.0.2.1']).provider.capabilities.inProcess).toBe(false);
    const options = parseProxyOptions({ 'proxy-addresses': ['192.0.2.1'] });
    const without = createProxyProvider(options, { log: captureLog().log, registry: new Registry() });
    expect(without.capabilities.inProcess).toBe(true);
  });

  it('removes what an earlier process left, also outside the pool, and nothing that is not its own', async () => {
    const machine = new Machine();
    for (const address of ['192.0.2.1', '192.0.2.2', '198.51.100.1']) machine.addresses.set(address, OURS);
    machine.addresses.set('192.0.2.3', undefined);
    const proxy = proxyOn(machine, ['192.0.2.1-192.0.2.9']);
    proxy.provider.restore([{ id: serviceId('web'), addresses: ['192.0.2.2'] }]);
    void proxy.run();
    await until(() => machine.addresses.size === 2, 'the leftovers are removed');
    expect([...machine.addresses.keys()]).toEqual(['192.0.2.2', '192.0.2.3']);
    const removed = proxy.log.lines.filter(({ msg }) => msg.includes('removed an address'));
    expect(removed.map((line) => line['address'])).toEqual(['192.0.2.1', '198.51.100.1']);
  });

  it('leaves alone the addresses at which another living process listens', async () => {
    const machine = new Machine();
    for (const address of ['192.0.2.1', '192.0.2.2']) machine.addresses.set(address, OURS);
    machine.inUse.add('192.0.2.1');
    const proxy = proxyOn(machine, ['192.0.2.1-192.0.2.9']);
    proxy.provider.restore([]);
    void proxy.run();
    await until(() => machine.addresses.size === 1, 'the leftover is removed');
    expect([...machine.addresses.keys()]).toEqual(['192.0.2.1']);
  });

  it('keeps none of its addresses on the machine while it does not lead', async () => {
    const machine = new Machine();
    machine.addresses.set('192.0.2.1', OURS);
    const { provider, log } = proxyOn(machine, ['192.0.2.1']);
    const leads = new AbortController();
    const standby = provider.standby?.(leads.signal);
    await until(() => machine.addresses.size === 0, 'the address is removed');
    leads.abort();
    await standby;
    machine.addresses.set('192.0.2.1', OURS);
    await provider.standby?.(leads.signal);
    expect([...machine.addresses.keys()]).toEqual(['192.0.2.1']);
    expect(log.text()).toContain('removed an address');
  });

  it('does not fail where addresses cannot be removed, but says so', async () => {
    const machine = new Machine();
    machine.broken = true;
    const { provider, log } = proxyOn(machine, ['192.0.2.1']);
    const leads = new AbortController();
    const standby = provider.standby?.(leads.signal);
    await until(() => log.text().includes('Operation not permitted'), 'it is logged');
    leads.abort();
    await expect(standby).resolves.toBeUndefined();
  });

  it('leaves no address behind that a reconcile was about to add when it ended', async () => {
    const machine = new Machine();
    const slow = Promise.withResolvers<void>();
    const adding = Promise.withResolvers<void>();
    machine.beforeAdd = () => {
      adding.resolve();
      return slow.promise;
    };
    const proxy = proxyOn(machine, ['192.0.2.1', '192.0.2.2']);
    const { provider } = proxy;
    const running = proxy.run();
    provider.restore([]);
    const addressStep = async (name: string): Promise<PlanStep> => {
      const desired = desiredLoadBalancer({ members: [member({ name })] });
      const { steps } = provider.plan(desired, await provider.observe(desired.id, context()));
      for (const step of steps) {
        if (step.kind === 'addInterfaceAddress') return step;
        await provider.apply(step, context());
      }
      throw new Error(`no address to add: ${JSON.stringify(steps)}`);
    };
    const [one, two] = [await addressStep('one'), await addressStep('two')];
    const underWay = provider.apply(one, context());
    await adding.promise;
    proxy.abort.abort();
    // Time enough for one that did not wait to have looked at the interface.
    await new Promise((resolve) => setTimeout(resolve, 50));
    slow.resolve();
    await underWay;
    await running;
    expect(machine.addresses.size).toBe(0);
    await expect(provider.apply(two, context())).rejects.toMatchObject({ code: 'NotLeader' });
    expect(machine.addresses.size).toBe(0);
  });

  /** A proxy with an address on its machine, and a client in the midst of a connection there. */
  async function inUse(shutdownMs: number = SHUTDOWN_MS): Promise<InUse> {
    const machine = new Machine();
    const node = await startNode(cleanup, 'node-1', { serve: (socket) => socket.pipe(socket) });
    const address = loopback();
    const proxy = proxyOn(machine, [address], { 'proxy-shutdown-timeout': shutdownMs });
    const { provider, abort } = proxy;
    const running = proxy.run();
    provider.restore([]);
    const desired = desiredLoadBalancer({
      members: [member({ listeners: [{ port: 8_080, nodePort: NODE_PORT }] })],
      nodes: nodesOf([node]),
    });
    for (const step of provider.plan(desired, await provider.observe(desired.id, context())).steps) {
      await provider.apply(step, context());
    }
    machine.addresses.set(address, OURS);
    const client = await dialClient(address, 8_080, cleanup);
    client.write('hello');
    await once(client, 'data');
    // Whose sockets are open is asked once a second at most, so that it is to be asked again.
    await new Promise((resolve) => setTimeout(resolve, 1_050));
    machine.inUse.add(address);
    return { machine, address, client, running, abort };
  }

  it('lets open connections go on when it ends, and ends when they have', async () => {
    const { machine, address, client, running, abort } = await inUse();
    const began = performance.now();
    abort.abort();
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(machine.addresses.has(address)).toBe(true);
    client.write('still here');
    await once(client, 'data');
    client.destroy();
    await running;
    expect(performance.now() - began).toBeLessThan(SHUTDOWN_MS - 2_000);
    expect(machine.addresses.size).toBe(0);
  });

  it('lets no connection outlive its time when it ends', async () => {
    const { machine, client, running, abort } = await inUse(1_000);
    const end = endOf(client);
    const began = performance.now();
    abort.abort();
    await running;
    expect(await end).toBe('ECONNRESET');
    expect(performance.now() - began).toBeGreaterThan(900);
    expect(machine.addresses.size).toBe(0);
  });

  it('removes its addresses at once when it leads no longer', async () => {
    const { machine, client, running, abort } = await inUse();
    const end = endOf(client);
    const began = performance.now();
    abort.abort(new BallastError('NotLeader', 'The Lease is somebody else’s.'));
    await running;
    expect(await end).toBe('ECONNRESET');
    expect(performance.now() - began).toBeLessThan(SHUTDOWN_MS - 2_000);
    expect(machine.addresses.size).toBe(0);
  });
});

describe('the addresses that processes of this machine use', () => {
  it('are those of their sockets', async () => {
    const address = loopback();
    expect(await addressesInUse()).not.toContain(address);
    const node = await startNode(cleanup, 'node-1');
    expect(await addressesInUse()).toContain(node.address);
    await node.stop();
    await until(async () => !(await addressesInUse()).has(node.address), 'it is used no longer');
  });

  it('are read in both families, without what the kernel only winds up', () => {
    const table = [
      '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode',
      '   0: 010200C0:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1',
      '   1: 020200C0:1F90 00000000:0000 06 00000000:00000000 00:00000000 00000000     0        0 0 1',
      '   2: B80D0120000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 12 1',
      '   3: 0000000000000000FFFF0000030200C0:0050 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 13 1',
      '',
    ];
    expect(parseSockets(table.join('\n'))).toEqual(['192.0.2.1', '2001:db8::1', '192.0.2.3']);
  });
});
