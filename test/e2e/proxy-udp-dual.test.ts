/** UDP, both address families and several ports at once; types and ports that change under traffic. */
import { setTimeout as delay } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { startBallast } from '#test/lab/ballast';
import { askUdp, describeUdpLoad, fetchOnce, Load, UdpLoad, urlHost } from '#test/lab/traffic';
import { waitFor } from '#test/lab/wait';
import { addressesOf, createService, type LabService, nodePortsOf } from './service.ts';
import { moveTo, restartPods, scale, useLab } from './support.ts';

const world = useLab({ ipFamily: 'dual', machines: [{ name: 'edge' }, { name: 'client' }] });

beforeAll(async () => {
  const { lab } = world;
  await startBallast(lab, world.machine('edge'));
  await Promise.all([
    lab.deployNetexec({ name: 'web', replicas: 3, https: true }),
    lab.deployNetexec({ name: 'solo', replicas: 1, nodeSelector: { 'kubernetes.io/hostname': 'n1' } }),
  ]);
});

type Protocol = 'TCP' | 'UDP';
const TARGET_PORT = { TCP: 8080, UDP: 8081 } as const;

/** One question on a new connection or from a new socket; rejects when no answer comes. */
async function ask(protocol: Protocol, host: string, port: number, timeoutMs = 5_000): Promise<string> {
  const client = world.machine('client');
  if (protocol === 'UDP') return askUdp(client, { host, port, timeoutMs });
  return fetchOnce(client, `http://${urlHost(host)}:${port}/hostname`, timeoutMs / 1_000);
}

/** Waits for an answer; a pod's name. */
async function untilAnswered(protocol: Protocol, host: string, port: number): Promise<string> {
  return waitFor({
    what: `an answer over ${protocol} from ${host} port ${port}`,
    timeoutMs: 45_000,
    check: () => ask(protocol, host, port),
  });
}

async function untilSilent(protocol: Protocol, host: string, port: number): Promise<void> {
  await waitFor({
    what: `no answer over ${protocol} from ${host} port ${port}`,
    timeoutMs: 45_000,
    check: async () => {
      try {
        await ask(protocol, host, port, 1_000);
        return undefined;
      } catch {
        return true;
      }
    },
  });
}

describe('a Service of both families', () => {
  it('answers on all its ports over IPv4 and IPv6, TCP and UDP on the same port number included', async () => {
    const service = await createService(world.lab, 'all', 'web', {
      spec: {
        ipFamilyPolicy: 'PreferDualStack',
        ports: [
          { name: 'http', port: 80, targetPort: TARGET_PORT.TCP },
          { name: 'https', port: 443, targetPort: 8443 },
          { name: 'dns', port: 53, targetPort: TARGET_PORT.UDP, protocol: 'UDP' },
          { name: 'dns-tcp', port: 53, targetPort: TARGET_PORT.TCP },
        ],
      },
    });
    const addresses = await service.addresses();
    expect(addresses.map((address) => (address.includes(':') ? 'IPv6' : 'IPv4'))).toEqual(['IPv4', 'IPv6']);
    for (const address of addresses) {
      const pods = [
        await untilAnswered('TCP', address, 80),
        await fetchOnce(world.machine('client'), `https://${urlHost(address)}/hostname`),
        await untilAnswered('UDP', address, 53),
        await untilAnswered('TCP', address, 53),
      ];
      for (const pod of pods) expect(pod).toMatch(/^web-/);
      const { bodies } = await Load.run(world.machine('client'), {
        url: `http://${urlHost(address)}/hostname`,
        count: 40,
      });
      expect(Object.keys(bodies).length, `pods that answered at ${address}`).toBeGreaterThan(1);
    }
    await service.delete();
    for (const address of addresses) await expect(ask('TCP', address, 80)).rejects.toThrow('failed with code');
  });

  it('gets its second address when it asks for it later, and keeps the first', async () => {
    const service = await createService(world.lab, 'later', 'web', { spec: { ipFamilyPolicy: 'SingleStack' } });
    const first = await service.address();
    await service.patchSpec({ ipFamilyPolicy: 'PreferDualStack' });
    const both = addressesOf(await service.until('to have two addresses', (seen) => addressesOf(seen).length === 2));
    expect(both[0]).toBe(first);
    for (const address of both) expect(await untilAnswered('TCP', address, 80)).toMatch(/^web-/);
    await service.delete();
  });
});

describe('UDP', () => {
  const sessions: { readonly what: string; readonly host: string; readonly service: LabService }[] = [];

  beforeAll(async () => {
    for (const policy of ['Cluster', 'Local'] as const) {
      const service = await createService(world.lab, `solo-${policy.toLowerCase()}`, 'solo', {
        spec: {
          externalTrafficPolicy: policy,
          ipFamilyPolicy: 'RequireDualStack',
          ports: [{ port: 53, targetPort: TARGET_PORT.UDP, protocol: 'UDP' }],
        },
      });
      for (const host of await service.addresses()) {
        sessions.push({ what: `${policy}, ${host.includes(':') ? 'IPv6' : 'IPv4'}`, host, service });
      }
    }
  });

  it.each([
    ['on the same node', 'n1'],
    ['on another node', 'n2'],
  ] as const)('goes on in the same sessions when the pod is replaced %s', async (where, node) => {
    const { lab } = world;
    for (const { host } of sessions) await untilAnswered('UDP', host, 53);
    const loads = await Promise.all(
      sessions.map(({ host }) => UdpLoad.start(world.machine('client'), { host, port: 53 })),
    );
    await delay(1_000);
    if (node === 'n1') await restartPods(lab, 'solo');
    else await moveTo(lab, 'solo', node);
    await delay(2_000);
    const summaries = await Promise.all(loads.map((load) => load.finish()));
    expect(summaries).toHaveLength(4);
    for (const [index, summary] of summaries.entries()) {
      const what = sessions[index]?.what ?? '';
      world.report(`UDP, pod replaced ${where}, ends at once, ${what}: ${describeUdpLoad(summary)}`);
      expect(Object.keys(summary.bodies), `pods that answered one session (${what})`).toHaveLength(2);
      expect(summary.longestGapMs, `longest time without an answer (${what})`).toBeLessThan(8_000);
      expect(summary.errors, `errors of the client’s socket (${what})`).toEqual({});
    }
  });

  it('keeps a client at its pod with session affinity, and spreads it without', async () => {
    const service = await createService(world.lab, 'sticky-udp', 'web', {
      spec: {
        sessionAffinity: 'ClientIP',
        ports: [{ port: 53, targetPort: TARGET_PORT.UDP, protocol: 'UDP' }],
      },
    });
    const address = await service.address();
    const pod = await untilAnswered('UDP', address, 53);
    for (let asked = 0; asked < 10; asked += 1) expect(await ask('UDP', address, 53)).toBe(pod);
    await service.patchSpec({ sessionAffinity: 'None' });
    const seen = new Set([pod]);
    await waitFor({
      what: 'another pod to answer',
      timeoutMs: 45_000,
      check: async () => (seen.add(await ask('UDP', address, 53)).size > 1 ? true : undefined),
    });
    await service.delete();
    expect(seen.size).toBeGreaterThan(1);
  });
});

describe.each(['TCP', 'UDP'] as const)('a %s Service', (protocol) => {
  it('keeps what it has while its type, node ports, ports and pods change', async () => {
    const { lab } = world;
    const name = `mutable-${protocol.toLowerCase()}`;
    const targetPort = TARGET_PORT[protocol];
    const service = await createService(lab, name, 'web', {
      spec: { type: 'ClusterIP', ports: [{ port: 80, targetPort, protocol }] },
    });
    const node = world.lab.node('n1').addresses.IPv4 ?? '';
    await service.patchSpec({ type: 'NodePort' });
    const [nodePort = 0] = nodePortsOf(await service.get());
    expect(nodePort).toBeGreaterThan(0);
    await untilAnswered(protocol, node, nodePort);

    await service.patchSpec({ type: 'LoadBalancer', loadBalancerClass: 'ballast.dev/proxy' });
    const address = await service.address();
    expect(nodePortsOf(await service.get()), 'node port of the new load balancer').toEqual([nodePort]);
    await untilAnswered(protocol, address, 80);

    const otherNodePort = await changeNodePort(service, nodePort);
    await untilAnswered(protocol, address, 80);
    await untilAnswered(protocol, node, otherNodePort);
    await untilSilent(protocol, node, nodePort);

    await changePort(service, 81);
    expect(await service.address(), 'address after the port changed').toBe(address);
    await untilAnswered(protocol, address, 81);
    await untilSilent(protocol, address, 80);

    await scale(lab, 'web', 0);
    await untilSilent(protocol, address, 81);
    await scale(lab, 'web', 3);
    await untilAnswered(protocol, address, 81);

    await service.patchSpec({
      type: 'ClusterIP',
      loadBalancerClass: null,
      ports: [{ port: 81, targetPort, protocol }],
    });
    await untilSilent(protocol, address, 81);
    const released = await service.until('to have no load balancer', (seen) => addressesOf(seen).length === 0);
    expect(nodePortsOf(released)).toEqual([0]);
    await service.until('to have no finalizer', ({ metadata }) => (metadata.finalizers ?? []).length === 0);
    await service.delete();
  });

  it('without node ports gets those that it needs, and keeps them', async () => {
    const service = await createService(world.lab, `bare-${protocol.toLowerCase()}`, 'web', {
      spec: {
        allocateLoadBalancerNodePorts: false,
        ports: [{ port: 80, targetPort: TARGET_PORT[protocol], protocol }],
      },
    });
    const address = await service.address();
    await untilAnswered(protocol, address, 80);
    const nodePorts = nodePortsOf(await service.get());
    expect(nodePorts[0]).toBeGreaterThan(0);
    await service.patchSpec({ allocateLoadBalancerNodePorts: true });
    await service.untilProgrammed();
    expect(nodePortsOf(await service.get())).toEqual(nodePorts);
    await untilAnswered(protocol, address, 80);
    await service.delete();
  });

  /** Moves the only port to the next free node port; returns it. */
  async function changeNodePort(service: LabService, from: number): Promise<number> {
    return waitFor({
      what: 'another node port to be free',
      timeoutMs: 30_000,
      check: async () => {
        const to = 30_000 + ((from - 30_000 + 1 + Math.floor(Math.random() * 1_000)) % 2_768);
        const { spec } = await service.get();
        await service.patchSpec({ ports: spec?.ports?.map((port) => ({ ...port, nodePort: to })) });
        return to;
      },
    });
  }

  async function changePort(service: LabService, port: number): Promise<void> {
    const { spec } = await service.get();
    await service.patchSpec({ ports: spec?.ports?.map((each) => ({ ...each, port })) });
  }
});
