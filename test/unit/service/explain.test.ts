import { describe, expect, it } from 'vitest';
import { endpointSlice, node, service, servicePort, type ServiceOptions } from '#test/fakes/builders';
import { Rig, type RigOptions } from '#test/fakes/service-rig';
import type { EndpointSlice } from '#src/kube/wire';
import type { Decision } from '#src/service/explain';
import type { Leadership } from '#src/service/leadership';
import { BallastError } from '#src/errors';
import { startRig } from './start-rig.ts';

const WEB = 'default/web';
const signal = new AbortController().signal;
const leads: Leadership = { kind: 'self' };

async function explained(
  options: ServiceOptions = {},
  rigOptions: RigOptions = {},
  leadership = leads,
  slices: readonly EndpointSlice[] = [endpointSlice()],
): Promise<readonly Decision[]> {
  const rig = await startRig(rigOptions);
  for (const slice of slices) rig.putSlice(slice);
  rig.api.create(service({ loadBalancerClass: null, ...options }));
  await rig.settle();
  return (await rig.controller.explainFor(WEB, signal, leadership)) ?? [];
}

function lines(decisions: readonly Decision[]): readonly string[] {
  return decisions.map(({ subject, verdict, text }) => `${verdict} ${subject}: ${text}`);
}

function firstNo(decisions: readonly Decision[]): string | undefined {
  return lines(decisions.filter(({ verdict }) => verdict === 'no'))[0];
}

describe('explaining a Service', () => {
  it('that works says yes all the way', async () => {
    expect(lines(await explained())).toEqual([
      'yes claim: The provider recording takes it: it has no loadBalancerClass, and recording is the default provider.',
      'yes leader: This process leads and does the work.',
      'info load balancer: It has a load balancer of its own.',
      'yes request: What it asks for makes sense.',
      'yes ports: Listens on 80/TCP → NodePort 30080.',
      'yes nodes: 2 may receive traffic: node-1, node-2.',
      'yes endpoints: 1 ready, on node-1; traffic goes to their port 8080.',
      'yes address: The load balancer has 192.0.2.1.',
      'yes plan: Nothing is left to do.',
      'yes traffic: HasTargets: Traffic arrives.',
      'yes status: EXTERNAL-IP shows 192.0.2.1.',
      'yes ballast.dev/Accepted: Accepted: The provider recording takes this Service.',
      'yes ballast.dev/Programmed: Programmed: Serves 80/TCP at 192.0.2.1.',
      'yes ballast.dev/Ready: HasTargets: Traffic arrives.',
    ]);
  });

  it.each<[string, ServiceOptions, RigOptions, string]>([
    [
      'a foreign class',
      { loadBalancerClass: 'example.com/x' },
      {},
      'no claim: Ballast leaves it alone: its loadBalancerClass example.com/x',
    ],
    ['another type', { spec: { type: 'ClusterIP' } }, {}, 'no claim: Ballast leaves it alone: its type is ClusterIP'],
    [
      'an annotation that makes no sense',
      { metadata: { annotations: { 'ballast.dev/algorithm': 'x' } } },
      {},
      'no request: InvalidAnnotation: The annotation ballast.dev/algorithm',
    ],
    [
      'an address that does not exist',
      { metadata: { annotations: { 'ballast.dev/addresses': '198.51.100.1' } } },
      {},
      'no address: AddressNotInPool: 198.51.100.1',
    ],
    ['a pool without an address', {}, { provider: { pool: [] } }, 'no address: AddressPoolExhausted: No IPv4 address'],
    [
      'a protocol that cannot be carried',
      { spec: { ports: [servicePort(), servicePort({ port: 1, protocol: 'SCTP' })] } },
      {},
      'no ports: UnsupportedProtocol: The provider of this Service does not carry SCTP',
    ],
    [
      'NodePorts that cannot be had',
      { spec: { ports: [servicePort({ nodePort: 0 })] } },
      { config: { nodePortRange: { min: 31_000, max: 31_000 } }, nodes: [] },
      'no nodes: No node may receive traffic.',
    ],
    ['no node', {}, { nodes: [node({ addresses: [] })] }, 'no nodes: No node may receive traffic.'],
    [
      'no endpoint on a node of its own under the Local policy',
      { spec: { externalTrafficPolicy: 'Local', healthCheckNodePort: 32_000 } },
      { nodes: [node({ metadata: { name: 'node-2' } })] },
      'no endpoints: externalTrafficPolicy is Local, and no such node',
    ],
  ])('that has %s begins with that no', async (_, options, rigOptions, expected) => {
    expect(firstNo(await explained(options, rigOptions))).toContain(expected);
  });

  it('names the nodes that are left out, and why', async () => {
    const nodes = [node(), node({ metadata: { name: 'node-2' }, addresses: [] })];
    expect(lines(await explained({}, { nodes }))).toContain('info nodes: Left out: node-2: it has no InternalIP.');
  });

  it('names what it shares the load balancer with, and who has its port', async () => {
    const rig = await startRig();
    const annotations = { 'ballast.dev/load-balancer': 'shared' };
    rig.api.create(service({ loadBalancerClass: null, metadata: { name: 'old', annotations } }));
    rig.api.create(
      service({
        loadBalancerClass: null,
        metadata: { annotations, creationTimestamp: '2026-02-01T00:00:00Z' },
        spec: { ports: [servicePort({ nodePort: 30_999 })] },
      }),
    );
    await rig.settle();
    const decisions = (await rig.controller.explainFor(WEB, signal, leads)) ?? [];
    expect(lines(decisions)).toContain(
      'info load balancer: It shares the load balancer default/shared with default/old.',
    );
    expect(firstNo(decisions)).toContain('no ports: PortConflict: The older default/old already has 80/TCP');
  });

  it.each<[string, ServiceOptions['spec'], readonly EndpointSlice[], string]>([
    [
      'whose selector matches nothing',
      { selector: { tier: 'front', app: 'dns' } },
      [],
      'No ready endpoint: the selector app=dns,tier=front matches no ready pod; ' +
        'see `kubectl get endpointslices -n default -l kubernetes.io/service-name=web`.',
    ],
    [
      'whose pods are not ready',
      {},
      [endpointSlice({ endpoints: [{ ready: false }, { address: '10.244.1.11', ready: false }] })],
      'No ready endpoint: the selector app=web matches no ready pod (2 that are not); see',
    ],
    [
      'without a selector and endpoints',
      { selector: {} },
      [],
      'No ready endpoint: no EndpointSlice of this Service has a ready endpoint; see `kubectl get endpointslices',
    ],
    [
      'with the Local policy and no pods',
      { externalTrafficPolicy: 'Local', healthCheckNodePort: 32_000 },
      [endpointSlice({ endpoints: [] })],
      'No ready endpoint: the selector app=web matches no ready pod; see',
    ],
    [
      'whose targetPort names no port of a pod',
      { ports: [servicePort({ name: 'http' }), servicePort({ name: 'https', port: 443, targetPort: 'secure' })] },
      [endpointSlice({ ports: [{ name: 'http', port: 8080, protocol: 'TCP' }] })],
      'No ready endpoint for 443/TCP: no ready pod has a container port called secure, as targetPort asks; see',
    ],
    [
      'whose own EndpointSlice names its port otherwise',
      { selector: {}, ports: [servicePort({ name: 'http' })] },
      [endpointSlice()],
      'No ready endpoint for 80/TCP: no EndpointSlice has it under the name that it has in the Service; see',
    ],
  ])('%s says so first, although address and nodes are there', async (_, spec, slices, expected) => {
    const decisions = await explained({ ...(spec && { spec }) }, {}, leads, slices);
    expect(firstNo(decisions)).toContain(`no endpoints: ${expected}`);
    expect(lines(decisions)).toContain('yes address: The load balancer has 192.0.2.1.');
  });

  it('says when what serves is about to end', async () => {
    const ending = endpointSlice({ endpoints: [{ ready: false, serving: true, terminating: true }] });
    expect(lines(await explained({}, {}, leads, [ending]))).toContain(
      'yes endpoints: 1 ending, but still serving, on node-1; traffic goes to their port 8080.',
    );
  });

  it('counts the nodes with an endpoint under the Local policy', async () => {
    const rig = await startRig();
    rig.putSlice(endpointSlice());
    rig.api.create(
      service({ loadBalancerClass: null, spec: { externalTrafficPolicy: 'Local', healthCheckNodePort: 32_000 } }),
    );
    await rig.settle();
    expect(lines((await rig.controller.explainFor(WEB, signal)) ?? [])).toContain(
      'yes endpoints: externalTrafficPolicy is Local; 1 of these nodes have an endpoint: node-1.',
    );
  });

  it('says who leads, or that nobody does', async () => {
    const nobody: Leadership = { kind: 'others', holders: [] };
    expect(firstNo(await explained({}, {}, nobody))).toContain('no leader: No controller holds the Lease');
    const holders = [{ identity: 'ballast-1', lease: 'ballast-system/ballast-controller' }];
    expect(lines(await explained({}, {}, { kind: 'others', holders }))).toContain(
      'yes leader: The controller ballast-1 leads and does the work.',
    );
  });

  it('says of a fenced leader that it serves on and changes nothing, not that nobody is there', async () => {
    expect(firstNo(await explained({}, {}, { kind: 'fenced' }))).toContain('no leader: The controller serves on, but');
  });

  it('that is being deleted says so', async () => {
    const rig = await startRig();
    rig.api.create(service({ loadBalancerClass: null }));
    await rig.settle();
    rig.provider.beforeStep = () => {
      throw new Error('no');
    };
    rig.api.delete(WEB);
    await rig.settle();
    const decisions = (await rig.controller.explainFor(WEB, signal)) ?? [];
    expect(firstNo(decisions)).toBe('no deletion: It is being deleted, so its load balancer goes.');
    expect(lines(decisions)).toContain(
      'info finalizer: It still has ballast.dev/recording: recording removes what it made, then lets it go.',
    );
  });

  it('that does not exist says nothing', async () => {
    const rig = await startRig();
    expect(await rig.controller.explainFor('default/nobody', signal)).toBeUndefined();
  });

  describe('whose last attempt failed', () => {
    const ports = [servicePort(), servicePort({ name: 'https', port: 443 })];

    it('begins with the failure, told once for all ports, where there is no address', async () => {
      const rig = await startRig();
      rig.putSlice(endpointSlice({ ports: [{ port: 8080 }, { name: 'https', port: 8443 }] }));
      rig.provider.beforeStep = () => {
        throw new BallastError('AddressNotLocal', 'Not here: 192.0.2.1:80/TCP. Not here: 192.0.2.1:443/TCP. Add it.');
      };
      rig.api.create(service({ loadBalancerClass: null, spec: { ports } }));
      await rig.settle();
      const told = (await rig.controller.explainFor(WEB, signal, leads)) ?? [];
      expect(firstNo(told)).toBe('no address: AddressNotLocal: Not here: 192.0.2.1:80/TCP, 443/TCP. Add it.');
      expect(lines(told)).toContain('no ballast.dev/Programmed: AddressNotLocal: see “address”.');
      expect(lines(told).filter((line) => line.includes('no address yet'))).toEqual([]);
    });

    it('says it behind the address where there is one', async () => {
      const rig = await startRig();
      rig.putSlice(endpointSlice({ ports: [{ port: 8080 }, { name: 'https', port: 8443 }] }));
      rig.provider.beforeStep = ({ listener }) => {
        if (listener?.port === 443) throw new BallastError('ListenFailed', '192.0.2.1:443/TCP is taken.');
      };
      rig.api.create(service({ loadBalancerClass: null, spec: { ports } }));
      await rig.settle();
      const told = (await rig.controller.explainFor(WEB, signal, leads)) ?? [];
      expect(firstNo(told)).toBe('no last attempt: ListenFailed: 192.0.2.1:443/TCP is taken.');
      expect(lines(told)).toContain('yes address: The load balancer has 192.0.2.1.');
    });

    it('says nothing of an attempt for what was asked before', async () => {
      const rig = await startRig();
      rig.putSlice(endpointSlice());
      rig.provider.beforeStep = () => {
        throw new BallastError('AddressNotLocal', 'Not here.');
      };
      rig.api.create(service({ loadBalancerClass: null, metadata: { generation: 1 } }));
      await rig.settle();
      await rig.stop();
      rig.api.tamper(WEB, (each) => ({ ...each, metadata: { ...each.metadata, generation: 2 } }));
      const told = (await rig.controller.explainFor(WEB, signal, leads)) ?? [];
      expect(firstNo(told)).toBe('no address: The load balancer has no address yet.');
    });
  });

  it('that was never reconciled says what would be done, and writes nothing', async () => {
    const rig = new Rig();
    rig.api.create(service({ loadBalancerClass: null }));
    await rig.controller.open(signal);
    const decisions = lines((await rig.controller.explainFor(WEB, signal)) ?? []);
    expect(decisions).toContain(
      'info plan: 2 steps are left: take 192.0.2.1 for default/web; put 80/TCP of default/web.',
    );
    expect(decisions).toContain('info ballast.dev/Accepted: Not written yet.');
    expect(rig.api.writes).toEqual([]);
    rig.controller.close();
  });
});

describe('planning', () => {
  it('shows what would be done, and does not do it', async () => {
    const rig = new Rig();
    rig.api.create(service({ loadBalancerClass: null, metadata: { annotations: { 'ballast.dev/zzz': '' } } }));
    await rig.controller.open(signal);
    const plan = await rig.controller.planFor('service/default/web', signal);
    expect(plan).toMatchObject({
      provider: 'recording',
      key: 'service/default/web',
      name: WEB,
      members: [WEB],
      leaving: [],
      preparations: ['default/web gets a finalizer, and NodePorts where it has none'],
      refusals: [],
      warnings: ['The annotation ballast.dev/zzz is unknown and does nothing.'],
      kept: false,
    });
    expect(plan.steps.map(({ summary }) => summary)).toEqual([
      'take 192.0.2.1 for default/web',
      'put 80/TCP of default/web',
    ]);
    expect(rig.world.list()).toEqual([]);
    expect(rig.api.writes).toEqual([]);
    rig.controller.close();
  });

  it('shows nothing for what is as it should be', async () => {
    const rig = await startRig();
    rig.api.create(service({ loadBalancerClass: null }));
    await rig.settle();
    expect(await rig.controller.planFor('service/default/web', signal)).toMatchObject({ steps: [], preparations: [] });
  });

  it('shows what is left of a Service that is gone', async () => {
    const rig = await startRig();
    rig.api.create(service({ loadBalancerClass: null }));
    await rig.settle();
    rig.provider.beforeStep = () => {
      throw new Error('no');
    };
    rig.api.delete(WEB);
    await rig.settle();
    const plan = await rig.controller.planFor('service/default/web', signal);
    expect(plan.leaving).toEqual([WEB]);
    expect(plan.steps.map(({ summary }) => summary)).toEqual([
      'remove 80/TCP of default/web',
      'give 192.0.2.1 of default/web back',
    ]);
  });

  it('is refused by a replica that only follows', async () => {
    const rig = new Rig();
    rig.api.create(service({ loadBalancerClass: null }));
    await expect(rig.controller.planFor('service/default/web', signal)).rejects.toMatchObject({ code: 'NotLeader' });
    await expect(rig.controller.explainFor(WEB, signal)).rejects.toMatchObject({ code: 'NotLeader' });
    rig.controller.close();
  });
});
