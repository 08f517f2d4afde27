import { createServer } from 'node:net';
import { Registry } from 'prom-client';
import { afterEach, describe, expect, it } from 'vitest';
import { createProxyProvider } from '#providers/proxy/index';
import { parseProxyOptions } from '#providers/proxy/options';
import { classify } from '#src/errors';
import type { Provider } from '#src/loadbalancer/provider';
import { desiredLoadBalancer, loopbackNodes, member } from '../fakes/builders.ts';
import { silentLog } from '../fakes/log.ts';
import { openSockets } from '../fakes/sockets.ts';
import { Cluster, context } from './cluster.ts';
import type { Harness } from './harness.ts';
import { testProvider } from './provider.ts';

interface Running {
  readonly provider: Provider;
  /** Ends it and everything that it has open. */
  end(): Promise<void>;
}

function start(pool: readonly string[]): Running {
  const options = parseProxyOptions({ 'proxy-addresses': pool, 'proxy-shutdown-timeout': 0 });
  const provider = createProxyProvider(options, { log: silentLog, registry: new Registry() });
  const abort = new AbortController();
  const running = provider.run(abort.signal);
  return {
    provider,
    async end() {
      abort.abort();
      await running;
    },
  };
}

/** Test runs share the loopback network of their machine; each harness takes a part of it that no other has. */
let networks = 0;
function nextNetwork(): string {
  networks += 1;
  return `127.${100 + (process.pid % 100)}.${1 + (networks % 250)}`;
}

/** What others have open on `::1`. Asked once: the kernel takes its time to list TCP sockets. */
const others = openSockets().then((sockets) => new Set(sockets));

async function create(): Promise<Harness> {
  const network = nextNetwork();
  // Of IPv6, loopback has one address; it is shared by port.
  const addresses = { IPv4: [1, 2, 3, 4, 5].map((host) => `${network}.${host}`), IPv6: ['::1'] };
  const pool = Object.values(addresses).flat();
  const foreign = await others;
  let current = start(pool);
  const seconds: Running[] = [];
  return {
    addresses,
    get provider() {
      return current.provider;
    },
    async restart() {
      await current.end();
      current = start(pool);
    },
    async second() {
      const other = start(pool);
      seconds.push(other);
      return other.provider;
    },
    async reachable() {
      const mine = (socket: string): boolean => socket.startsWith(`${network}.`) || socket.startsWith('[::1]:');
      return (await openSockets()).filter((socket) => mine(socket) && !foreign.has(socket));
    },
    leftovers: async () => [],
    async close() {
      for (const running of [current, ...seconds]) await running.end();
    },
  };
}

testProvider({
  name: 'the proxy provider',
  create,
  // Its sockets are its own process's; nobody else can close or change one.
  damage: [],
});

describe('the proxy provider beside other processes', () => {
  let harness: Harness | undefined;
  afterEach(async () => {
    await harness?.close();
  });

  it('opens what it can while somebody else holds a port, and the rest later', async () => {
    harness = await create();
    const cluster = new Cluster(harness);
    const desired = desiredLoadBalancer({
      members: [member({ listeners: [{ port: 80 }, { port: 443 }, { port: 53, protocol: 'UDP' }] })],
      nodes: loopbackNodes(1),
    });
    const [address = ''] = harness.addresses.IPv4;
    const squatter = createServer();
    await new Promise<void>((resolve) => squatter.listen(80, address, resolve));

    cluster.want(desired);
    const { plan } = await cluster.look(desired.id);
    const failed: unknown[] = [];
    for (const step of plan.steps) await harness.provider.apply(step, context()).catch((error) => failed.push(error));
    expect(failed.map((error) => classify(error).code)).toEqual(['ListenFailed']);
    expect((await harness.reachable()).toSorted()).toEqual([
      `${address}:443/TCP`,
      `${address}:53/UDP`,
      `${address}:80/TCP`,
    ]);

    await new Promise((resolve) => squatter.close(resolve));
    await cluster.settle();
    await cluster.verify();
  });
});
