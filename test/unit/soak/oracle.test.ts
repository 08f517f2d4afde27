/** The oracle has to notice what is wrong: each test takes a world that is right and spoils one thing. */
import { describe, expect, it } from 'vitest';
import { node, service, servicePort } from '#test/fakes/builders';
import type { Service } from '#src/kube/wire';
import { judge } from '#test/soak/oracle/judge';
import type { World } from '#test/soak/oracle/world';

const A = '127.0.0.1';
const B = '127.0.0.2';
const TIME = '2026-01-01T00:00:00Z';

interface Said {
  readonly accepted?: readonly [string, string];
  readonly programmed?: readonly [string, string, string?];
  readonly ready?: readonly [string, string];
  readonly addresses?: readonly string[];
  readonly annotations?: Readonly<Record<string, string>>;
  readonly port?: number;
}

/** A Service `soak-a/<name>` on port 80, served at its address unless it says otherwise. */
function web(name: string, said: Said = {}): Service {
  // Where Programmed does not name the ports, the entries list them.
  const lists = said.programmed?.[1] === 'NotAccepted';
  const { accepted = ['True', 'Accepted'], ready = ['True', 'TargetsHealthy'], addresses = [A] } = said;
  const { programmed = ['True', 'Programmed', `Serves 80/TCP at ${addresses.join(', ')}.`] } = said;
  const conditions = Object.entries({ Accepted: accepted, Programmed: programmed, Ready: ready }).map(
    ([type, [status = '', reason = '', message = '']]) => ({
      type: `ballast.dev/${type}`,
      status,
      reason,
      message,
      lastTransitionTime: TIME,
    }),
  );
  const ports = [{ port: said.port ?? 80, protocol: 'TCP' }];
  return service({
    metadata: { namespace: 'soak-a', name, finalizers: ['ballast.dev/proxy'], annotations: said.annotations ?? {} },
    spec: { ports: [servicePort({ port: said.port ?? 80, nodePort: 30_000 })], ipFamilies: ['IPv4'] },
    status: {
      loadBalancer: { ingress: addresses.map((ip) => ({ ip, ipMode: 'Proxy', ...(lists && { ports }) })) },
      conditions,
    },
  });
}

function counts(proxy: number): World['loadBalancers'] {
  return { proxy, cloud: 0 };
}

function world(services: readonly Service[], change: Partial<World> = {}): World {
  const addresses = services.flatMap(({ status }) => status?.loadBalancer?.ingress?.map(({ ip }) => ip) ?? []);
  return {
    services,
    nodes: [node({ metadata: { name: 'n1' }, addresses: ['127.0.1.1'] })],
    slices: [],
    sockets: addresses.map((address) => `${address}:80/TCP`),
    followerSockets: [],
    cloud: undefined,
    loadBalancers: counts(new Set(addresses).size),
    plans: [],
    wanted: new Set(services.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)),
    marks: () => ({ condition: false, finalizer: false, ingress: false }),
    pools: { proxy: [A, B], cloud: [] },
    mayAskFor: () => true,
    ...change,
  };
}

function complaints(
  of: World,
  ...rest: Partial<Parameters<typeof judge> extends [World, ...infer More] ? More : never>
) {
  const [before = [], touched = new Set<string>()] = rest;
  return judge(of, before, touched).complaints.join('\n');
}

const other = (said: Said = {}): Service => web('w2', { addresses: [B], ...said });

describe('the oracle of the soak', () => {
  it('has nothing to say about a world that is right', () => {
    expect(complaints(world([web('w1'), other()]))).toBe('');
  });

  it('misses a socket, and sees one too many, in either process', () => {
    expect(complaints(world([web('w1')], { sockets: [] }))).toContain(`Nothing listens on ${A}:80/TCP`);
    expect(complaints(world([web('w1')], { sockets: [`${A}:80/TCP`, `${B}:80/TCP`] }))).toContain('nobody asks for it');
    expect(complaints(world([web('w1')], { followerSockets: [`${A}:80/TCP`] }))).toContain('does not lead');
  });

  it('misses finalizers, and what others have put on a Service', () => {
    const { finalizers: _, ...metadata } = web('w1').metadata;
    expect(complaints(world([{ ...web('w1'), metadata }]))).toContain('lacks ballast.dev/proxy');
    const marks = (): ReturnType<World['marks']> => ({ condition: true, finalizer: true, ingress: false });
    const text = complaints(world([web('w1')], { marks }));
    expect(text).toContain('lost a foreign finalizer');
    expect(text).toContain('lost a foreign condition');
  });

  it('sees what is deleted and held, gone too early, or not ours any more', () => {
    const deleted = { ...web('w1'), metadata: { ...web('w1').metadata, deletionTimestamp: TIME } };
    const held = complaints(world([deleted], { wanted: new Set() }));
    expect(held).toContain('is deleted, but held by ballast.dev/proxy');
    expect(complaints(world([], { wanted: new Set(['soak-a/w1']) }))).toContain('soak-a/w1 is not there');
    const left: Service = { ...web('w1'), spec: { ...web('w1').spec, type: 'ClusterIP' } };
    const text = complaints(world([left]));
    expect(text).toContain('is not ours, but has ballast.dev/proxy');
    expect(text).toContain('is not ours, but has ballast.dev/Accepted');
    expect(text).toContain(`is not ours and shows ${A}`);
  });

  it('sees an address given twice, withheld, or not the one that was asked for', () => {
    expect(complaints(world([web('w1'), web('w2')]))).toContain('shown by several load balancers');
    const exhausted = web('w1', {
      addresses: [],
      programmed: ['False', 'AddressPoolExhausted'],
      ready: ['False', 'NotProgrammed'],
    });
    expect(complaints(world([exhausted]))).toContain('right is "an address that is free');
    const full = { pools: { proxy: [B], cloud: [] } };
    expect(complaints(world([exhausted, other()], full))).toBe('');
    const asking = web('w1', { annotations: { 'ballast.dev/addresses': B } });
    expect(complaints(world([asking]))).toContain(`right is "${B} Proxy`);
  });

  it('wants the younger of two in a group to lose the port, and to say so', () => {
    const group = { 'ballast.dev/load-balancer': 'red' };
    const both = [web('w1', { annotations: group }), web('w2', { annotations: group })];
    expect(complaints(world(both))).toContain('soak-a/w2 says True Programmed');
    const loser = web('w2', {
      annotations: group,
      addresses: [],
      programmed: ['False', 'PortConflict'],
      ready: ['False', 'NotProgrammed'],
    });
    expect(complaints(world([web('w1', { annotations: group }), loser]))).toBe('');
  });

  it('wants a mistyped annotation to be told', () => {
    expect(complaints(world([web('w1', { annotations: { 'ballast.dev/algorithm': 'fastest' } })]))).toContain(
      'right is False InvalidAnnotation',
    );
    expect(complaints(world([web('w1', { annotations: { 'ballast.dev/algoritm': 'x' } })]))).toContain(
      'with ballast.dev/algoritm',
    );
  });

  it('holds who asks nonsense and is served all the same to its present ports', () => {
    const kept = web('w1', {
      annotations: { 'ballast.dev/algorithm': 'fastest' },
      accepted: ['False', 'InvalidAnnotation'],
      programmed: ['False', 'NotAccepted', A],
    });
    expect(complaints(world([kept]))).toBe('');
    expect(complaints(world([kept], { nodes: [] }))).toContain('right is False NoNodes');
    const changed = { ...kept, spec: { ...kept.spec, ports: [servicePort({ port: 81, nodePort: 30_001 })] } };
    const text = complaints(world([changed]));
    expect(text).toContain(`${A}:80/TCP is open, though nobody asks for it`);
    expect(text).toContain(`Nothing listens on ${A}:81/TCP`);
    expect(text).toContain(`shows "${A} Proxy 80/TCP"; right is "${A} Proxy 81/TCP"`);
    const [socket] = judge(world([kept]), [], new Set()).sockets;
    expect(socket).toMatchObject({ socket: `${A}:80/TCP`, nodePort: 30_000, nodes: ['n1'], ranges: [] });
  });

  it('finds a Service whose group makes no sense with those whose address it shows', () => {
    const group = web('w1', { annotations: { 'ballast.dev/load-balancer': 'red' } });
    const stray = (annotation: string): Service => {
      return web('w2', {
        annotations: { 'ballast.dev/load-balancer': annotation },
        accepted: ['False', 'InvalidAnnotation'],
        programmed: ['False', 'NotAccepted', A],
        port: 81,
      });
    };
    const sockets = [`${A}:80/TCP`, `${A}:81/TCP`];
    expect(complaints(world([group, stray('No Good!')], { sockets }))).toBe('');
    expect(complaints(world([group, stray('blue')], { sockets }))).toContain('shown by several load balancers');
  });

  it('wants readiness to follow the nodes', () => {
    expect(complaints(world([web('w1')], { nodes: [] }))).toContain('right is False NoNodes');
  });

  it('lets one of those who want a port of the shared address have it, not none and not two', () => {
    const six = (name: string, won: boolean, addresses = ['::1']): Service => {
      const lost = {
        programmed: ['False', 'PortConflict', '80/TCP is held'],
        ready: ['False', 'NotProgrammed'],
      } as const;
      const made = web(name, won ? { addresses } : { addresses: [], ...lost });
      return { ...made, spec: { ...made.spec, ipFamilies: ['IPv6'] } };
    };
    const shared = {
      pools: { proxy: [A, '::1'], cloud: [] },
      sockets: ['[::1]:80/TCP'],
      loadBalancers: counts(1),
    };
    expect(complaints(world([six('w1', false), six('w2', true)], shared))).toBe('');
    expect(complaints(world([six('w1', true), six('w2', true)], shared))).toContain('Only one may have 80/TCP');
    expect(
      complaints(world([six('w1', false), six('w2', false)], { ...shared, sockets: [], loadBalancers: counts(0) })),
    ).toContain('Nobody has 80/TCP');
  });

  it('does not let those change of whom nothing was changed', () => {
    const { loadBalancers } = judge(world([web('w1')]), [], new Set());
    const moved = world([web('w1', { addresses: [B] })]);
    expect(complaints(moved, loadBalancers, new Set())).toContain(`service/soak-a/w1 has lost ${A}`);
    expect(complaints(moved, loadBalancers, new Set(['soak-a/w1']))).toBe('');
  });

  it('sees that the controller would still do something, or counts otherwise', () => {
    expect(complaints(world([web('w1')], { plans: ['service/soak-a/w1: Assign'] }))).toContain(
      'would still do something',
    );
    expect(complaints(world([web('w1')], { loadBalancers: counts(2) }))).toContain(
      'counts 2 load balancers of proxy; there must be 1',
    );
  });
});
