/** What a Service asks of its traffic: affinity, source ranges, externalTrafficPolicy Local, PROXY protocol. */
import { setTimeout as delay } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { startBallast } from '#test/lab/ballast';
import { AGNHOST_IMAGE } from '#test/lab/lab';
import type { LabMachine } from '#test/lab/machine';
import { askUdp, describeLoad, fetchOnce, Load } from '#test/lab/traffic';
import { waitFor } from '#test/lab/wait';
import { countArrivals } from './arrivals.ts';
import { createService, nodePortsOf, type LabService } from './service.ts';
import { addressesOfPods, moveTo, nodesOfPods, scale, useLab } from './support.ts';

const world = useLab({ machines: [{ name: 'edge' }, { name: 'client' }, { name: 'far', behindRouter: true }] });

beforeAll(async () => {
  const { lab } = world;
  await startBallast(lab, world.machine('edge'));
  await Promise.all([
    lab.deployNetexec({ name: 'web', replicas: 3 }),
    lab.deployNetexec({
      name: 'wanderer',
      replicas: 1,
      shutdownDelaySeconds: 3,
      nodeSelector: { 'kubernetes.io/hostname': 'n1' },
    }),
  ]);
});

const CLIENTS = ['client', 'far'] as const;

/** The pods that answered `count` requests, each on a connection of its own. */
async function podsFor(machine: LabMachine, url: string, count: number = 10): Promise<readonly string[]> {
  const summary = await Load.run(machine, { url, count });
  expect(summary.failures, `failures of ${url} from ${machine.name}`).toEqual({});
  return Object.keys(summary.bodies);
}

async function untilSticky(machine: LabMachine, url: string): Promise<string> {
  return waitFor({
    what: `one pod to answer ${machine.name} at ${url}`,
    timeoutMs: 30_000,
    check: async () => {
      const pods = await podsFor(machine, url);
      return pods.length === 1 ? pods[0] : undefined;
    },
  });
}

async function untilSpread(machine: LabMachine, url: string): Promise<void> {
  await waitFor({
    what: `several pods to answer ${machine.name} at ${url}`,
    timeoutMs: 30_000,
    check: async () => ((await podsFor(machine, url)).length > 1 ? true : undefined),
  });
}

describe.each(['Cluster', 'Local'] as const)('session affinity with externalTrafficPolicy %s', (policy) => {
  let service: LabService;
  let urls: readonly string[] = [];

  beforeAll(async () => {
    service = await createService(world.lab, `sticky-${policy.toLowerCase()}`, 'web', {
      spec: {
        externalTrafficPolicy: policy,
        sessionAffinity: 'ClientIP',
        ports: [80, 81].map((port) => ({ name: `http-${port}`, port, targetPort: 8080 })),
      },
    });
    const address = await service.address();
    urls = [80, 81].map((port) => `http://${address}:${port}/hostname`);
  });

  it('keeps each client at one pod, for each port', async () => {
    for (const url of urls) {
      for (const name of CLIENTS) {
        const pod = await untilSticky(world.machine(name), url);
        // Another client in between changes nothing.
        for (const other of CLIENTS) await podsFor(world.machine(other), url, 3);
        expect(await podsFor(world.machine(name), url), `pods for ${name}`).toEqual([pod]);
      }
    }
  });

  it('spreads a client’s connections once it is switched off, and keeps them together once it is on again', async () => {
    const [url = ''] = urls;
    await service.patchSpec({ sessionAffinity: 'None' });
    for (const name of CLIENTS) await untilSpread(world.machine(name), url);
    await service.patchSpec({ sessionAffinity: 'ClientIP' });
    for (const name of CLIENTS) {
      const pod = await untilSticky(world.machine(name), url);
      expect(await podsFor(world.machine(name), url)).toEqual([pod]);
    }
  });
});

describe('session affinity', () => {
  it('gives different clients different nodes', async () => {
    const { lab } = world;
    const service = await createService(lab, 'sticky-many', 'web', {
      spec: { externalTrafficPolicy: 'Local', sessionAffinity: 'ClientIP' },
    });
    const url = `http://${await service.address()}/hostname`;
    const pods = new Set<string>();
    for (const name of [...CLIENTS, 'edge']) {
      const [pod = ''] = await podsFor(world.machine(name), url, 1);
      pods.add(pod);
    }
    expect(pods.size, 'pods for three clients, of which each came once').toBeGreaterThan(1);
    await service.delete();
  });
});

describe('source ranges', () => {
  it('let in exactly the clients that they name, as they change', async () => {
    const { lab } = world;
    const service = await createService(lab, 'ranges', 'web', {
      spec: {
        ports: [
          { name: 'http', port: 80, targetPort: 8080 },
          { name: 'udp', port: 80, targetPort: 8081, protocol: 'UDP' },
        ],
      },
    });
    const address = await service.address();
    const range = (name: string): string => `${world.machine(name).addresses.IPv4 ?? ''}/32`;
    const steps: readonly (readonly [ranges: readonly string[], allowed: readonly string[]])[] = [
      [[], ['client', 'far']],
      [[range('client')], ['client']],
      [[range('far')], ['far']],
      [
        ['0.0.0.0/1', '128.0.0.0/1'],
        ['client', 'far'],
      ],
      [['255.0.0.0/32'], []],
      [
        [range('client'), range('far')],
        ['client', 'far'],
      ],
      [['255.0.0.0/32'], []],
      [[], ['client', 'far']],
    ];
    for (const [loadBalancerSourceRanges, allowed] of steps) {
      await service.patchSpec({ loadBalancerSourceRanges });
      const what = `let in by ${loadBalancerSourceRanges.join(', ') || 'no range'}`;
      await expect
        .poll(() => whoGetsIn(address), { timeout: 40_000, message: what })
        .toEqual({ TCP: allowed, UDP: allowed });
    }
  });

  /** The clients that get an answer over TCP and over UDP. */
  async function whoGetsIn(address: string): Promise<Readonly<Record<'TCP' | 'UDP', readonly string[]>>> {
    const answers = async (ask: (machine: LabMachine) => Promise<string>): Promise<readonly string[]> => {
      const tried = await Promise.allSettled(CLIENTS.map((name) => ask(world.machine(name))));
      return CLIENTS.filter((_name, index) => tried[index]?.status === 'fulfilled');
    };
    return {
      TCP: await answers((machine) => fetchOnce(machine, `http://${address}/hostname`, 5)),
      UDP: await answers((machine) => askUdp(machine, { host: address, port: 80, timeoutMs: 2_000 })),
    };
  }
});

describe('externalTrafficPolicy Local', () => {
  it('sends nothing to nodes without endpoints, and keeps doing so while the pod moves over the nodes', async () => {
    const { lab } = world;
    const client = world.machine('client');
    const service = await createService(lab, 'wanderer', 'wanderer', { spec: { externalTrafficPolicy: 'Local' } });
    const url = `http://${await service.address()}/hostname`;
    const [nodePort = 0] = nodePortsOf(await service.get());
    const { healthCheckNodePort = 0 } = (await service.get()).spec ?? {};
    const arrivals = await countArrivals(lab, nodePort);
    const othersThan = (nodes: readonly string[], counts: Readonly<Record<string, number>>): number =>
      Object.entries(counts).reduce((sum, [node, count]) => sum + (nodes.includes(node) ? 0 : count), 0);

    await waitFor({ what: 'the pod on n1 to answer', timeoutMs: 30_000, check: () => fetchOnce(client, url) });
    let at = 'n1';
    for (const next of ['n2', 'n3']) {
      const before = await arrivals.read();
      await podsFor(client, url, 50);
      const resting = difference(await arrivals.read(), before);
      expect(resting[at], `connections that reached ${at}, where the pod is`).toBeGreaterThanOrEqual(50);
      expect(othersThan([at], resting), `connections that reached nodes other than ${at}`).toBe(0);
      await expectHealthOnlyAt(at, healthCheckNodePort);

      const load = await Load.start(client, { url });
      await moveTo(lab, 'wanderer', next);
      await delay(1_000);
      const moved = difference(await arrivals.read(), before);
      const summary = await load.finish();
      world.report(`pod moves from ${at} to ${next}, Local, serves on for 3 s: ${describeLoad(summary)}`);
      expect(summary.failures, 'failures while the pod moved').toEqual({});
      expect(othersThan([at, next], moved), `connections that reached nodes other than ${at} and ${next}`).toBe(0);
      at = next;
    }
    await service.delete();
  });

  /** The health check of the Service passes on this node and on no other. */
  async function expectHealthOnlyAt(node: string, port: number): Promise<void> {
    const codes = await Promise.all(
      world.lab.nodes.map(async ({ name, addresses }) => {
        const url = `http://${addresses.IPv4 ?? ''}:${port}/healthz`;
        const curl = [
          'curl',
          '--silent',
          '--max-time',
          '2',
          '--output',
          '/dev/null',
          '--write-out',
          '%{http_code}',
          url,
        ];
        return [name, (await world.machine('edge').exec(curl)).stdout] as const;
      }),
    );
    const expected = world.lab.nodes.map(({ name }) => [name, name === node ? '200' : '503']);
    expect(codes, `health check at port ${port}`).toEqual(expected);
  }

  it('sends to every node that has an endpoint, also those that get one later', async () => {
    const { lab } = world;
    const client = world.machine('client');
    const service = await createService(lab, 'late', 'late', { spec: { externalTrafficPolicy: 'Local' } });
    const url = `http://${await service.address()}/hostname`;
    expect((await Load.run(client, { url, count: 5 })).succeeded, 'answers without any endpoint').toBe(0);

    await lab.deployNetexec({ name: 'late', replicas: 1 });
    await scale(lab, 'late', 3);
    const pods = await nodesOfPods(lab, 'late');
    expect(new Set(pods.values()).size, 'nodes with a pod').toBe(3);
    await waitFor({
      what: 'pods on all three nodes to answer',
      timeoutMs: 30_000,
      check: async () => ((await podsFor(client, url, 30)).length === 3 ? true : undefined),
    });
    await service.delete();
    await lab.kubectl(['delete', 'deployment', 'late']);
  });
});

describe('a load balancer of the proxy', () => {
  it('says that it is a proxy, so that pods reach it through it too', async () => {
    const { lab } = world;
    const service = await createService(lab, 'from-pods', 'web', {
      spec: { loadBalancerSourceRanges: ['10.244.0.0/16'] },
    });
    const address = await service.address();
    const { status } = await service.get();
    expect(status?.loadBalancer?.ingress).toMatchObject([{ ip: address, ipMode: 'Proxy' }]);

    // The source range lets in pods alone: would kube-proxy short-cut to its own nodes, the client would be let in.
    const pods = await nodesOfPods(lab, 'web');
    expect(pods.size).toBe(3);
    for (const podAddress of await addressesOfPods(lab, 'web')) {
      // A pod of netexec asks somebody else when it is asked to.
      const dial = `http://${podAddress}:8080/dial?host=${address}&port=80&protocol=http&request=hostname&tries=1`;
      const said: { readonly responses?: readonly string[] } = JSON.parse(
        await fetchOnce(world.machine('client'), dial),
      );
      expect([...pods.keys()]).toContain(said.responses?.[0]);
    }
    await expect(fetchOnce(world.machine('client'), `http://${address}/hostname`, 2)).rejects.toThrow(
      'failed with code',
    );
    await service.delete();
  });

  it('tells targets the client’s address in a PROXY protocol v2 header, when asked', async () => {
    const { lab } = world;
    await runHeaderPrinter();
    const service = await createService(lab, 'header', 'header', {
      annotations: { 'ballast.dev/proxy-protocol': 'v2' },
    });
    const address = await service.address();
    for (const name of CLIENTS) {
      const machine = world.machine(name);
      const hex = await waitFor({
        what: `a header for ${name}`,
        timeoutMs: 30_000,
        check: async () => {
          const talk = `exec 3<>/dev/tcp/${address}/80; timeout 3 cat <&3`;
          const { stdout } = await machine.exec(['bash', '-c', talk]);
          return stdout.length === 2 * HEADER_BYTES ? stdout : undefined;
        },
      });
      const header = Buffer.from(hex, 'hex');
      // https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt, 2.2: signature, PROXY of version 2, TCP over IPv4.
      expect(header.toString('latin1', 0, 12)).toBe('\r\n\r\n\0\r\nQUIT\n');
      expect(header.readUInt16BE(12)).toBe(0x2111);
      expect(header.readUInt16BE(14)).toBe(12);
      expect(header.subarray(16, 20).join('.')).toBe(machine.addresses.IPv4);
      expect(header.subarray(20, 24).join('.')).toBe(address);
      expect(header.readUInt16BE(24)).toBeGreaterThan(1_023);
      expect(header.readUInt16BE(26)).toBe(80);
    }
  });

  /** The header for TCP over IPv4: 16 bytes, two addresses, two ports. */
  const HEADER_BYTES = 28;

  /** A pod that answers each connection with its first bytes, in hexadecimal digits. */
  async function runHeaderPrinter(): Promise<void> {
    const { lab } = world;
    const print = `head -c ${HEADER_BYTES} | hexdump -v -e '1/1 "%02x"'`;
    await lab.request('POST', '/api/v1/namespaces/default/pods', {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'header', labels: { app: 'header' } },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [
          {
            name: 'header',
            image: AGNHOST_IMAGE,
            imagePullPolicy: 'IfNotPresent',
            command: ['nc', '-ll', '-p', '8080', '-e', 'sh', '-c', print],
          },
        ],
      },
    });
    await lab.kubectl(['wait', 'pod/header', '--for=condition=Ready', '--timeout=20s']);
  }
});

function difference(
  after: Readonly<Record<string, number>>,
  before: Readonly<Record<string, number>>,
): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(after).map(([node, count]) => [node, count - (before[node] ?? 0)]));
}
