import { once } from 'node:events';
import { createServer } from 'node:net';
import { Registry } from 'prom-client';
import { afterEach, describe, expect, it } from 'vitest';
import type { DesiredLoadBalancer, IpFamily } from '#src/loadbalancer/model';
import type { Plan } from '#src/loadbalancer/provider';
import { applySteps, type Applied } from '#src/service/apply';
import { registerServiceMetrics } from '#src/service/metrics';
import { desiredLoadBalancer, member, serviceId } from '#test/fakes/builders';
import { Cleanup, NODE_PORT, ask, context, loopback, nodesOf, startNode, startWorld, type World } from './rig.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** Of TEST-NET-1 (RFC 5737): on no machine. */
const ABSENT = '192.0.2.77';

const METRICS = registerServiceMetrics(new Registry());

interface Pass {
  readonly plan: Plan;
  readonly applied: Applied;
  readonly failed: readonly string[];
  readonly holds: readonly string[];
  readonly published: readonly string[];
}

/** One pass as the controller makes it, failures and all; the status that it shows is that of the pass before. */
class Controller {
  readonly #world: World;
  readonly #published = new Map<string, readonly string[]>();

  constructor(world: World) {
    this.#world = world;
  }

  async pass(desired: DesiredLoadBalancer): Promise<Pass> {
    const { provider } = this.#world;
    const { id } = desired;
    const wanted = { ...desired, publishedAddresses: this.#published.get(id.name) ?? [] };
    const plan = provider.plan(wanted, await provider.observe(id, context()));
    const applied = await applySteps(plan, { provider, context: context(), fence: () => {}, metrics: METRICS });
    const observed = await provider.observe(id, context());
    const published = provider
      .status(wanted, observed)
      .addresses.flatMap((each) => (each.kind === 'ip' ? each.ip : []));
    this.#published.set(id.name, published);
    const holds = Object(observed).addresses;
    return { plan, applied, failed: applied.failures.map(({ error }) => error.code), holds, published };
  }
}

function web(
  nodes: readonly { readonly name: string; readonly address: string }[],
  name: string,
  options: { readonly at?: string; readonly ports?: readonly number[]; readonly families?: readonly IpFamily[] } = {},
): DesiredLoadBalancer {
  const { at, ports = [8_080], families = ['IPv4'] } = options;
  const requestedAddresses = at === undefined ? [] : [at];
  const listeners = ports.map((port) => ({ port, nodePort: NODE_PORT }));
  const wanted = families.map((family) => ({ family, required: false }));
  return desiredLoadBalancer({
    id: serviceId(name),
    requestedAddresses,
    members: [member({ name, listeners, requestedAddresses, families: wanted })],
    nodes: nodesOf(nodes),
  });
}

describe('a change of address that fails', () => {
  it('leaves the Service at its old one, which nobody else gets, and can be taken back', async () => {
    const nodes = [await startNode(cleanup, 'node-1')];
    const home = loopback();
    const world = startWorld(cleanup, {}, [home, ABSENT]);
    const controller = new Controller(world);
    expect((await controller.pass(web(nodes, 'web'))).published).toEqual([home]);
    for (let attempt = 1; attempt <= 2; attempt++) {
      const { failed, published, applied } = await controller.pass(web(nodes, 'web', { at: ABSENT }));
      expect(failed).toEqual(['AddressNotLocal']);
      expect(applied.freed).toEqual([]);
      expect(published).toEqual([home]);
    }
    const other = await controller.pass(web(nodes, 'other', { ports: [9_090] }));
    expect(other.plan.refusals.map(({ code }) => code)).toEqual(['AddressPoolExhausted']);
    expect(await ask(home, 8_080, cleanup)).toBe('node-1');
    const back = await controller.pass(web(nodes, 'web'));
    expect(back).toMatchObject({ failed: [], holds: [home], published: [home] });
    expect((await controller.pass(web(nodes, 'web'))).plan.steps).toEqual([]);
  });

  it('leaves all ports at the old one when one of them cannot be had at the new one', async () => {
    const nodes = [await startNode(cleanup, 'node-1')];
    const [home, next] = [loopback(), loopback()];
    const squatter = createServer().listen({ host: next, port: 8_443 });
    await once(squatter, 'listening');
    const world = startWorld(cleanup, {}, [home, next]);
    const controller = new Controller(world);
    const ports = [8_080, 8_443];
    await controller.pass(web(nodes, 'web', { ports }));
    const { failed, published } = await controller.pass(web(nodes, 'web', { ports, at: next }));
    expect(failed).toEqual(['ListenFailed']);
    expect(published).toContain(home);
    for (const port of ports) expect(await ask(home, port, cleanup)).toBe('node-1');
    await new Promise((resolve) => squatter.close(resolve));
    expect(await controller.pass(web(nodes, 'web', { ports, at: next }))).toMatchObject({
      failed: [],
      holds: [next],
      published: [next],
    });
  });
});

describe('trouble with one family', () => {
  it('does not keep the other from serving, nor a port from closing', async () => {
    const nodes = [await startNode(cleanup, 'node-1')];
    const port = 30_000 + 2 * (process.pid % 1_000);
    const world = startWorld(cleanup, {}, [ABSENT, '::1']);
    const controller = new Controller(world);
    const both = { families: ['IPv4', 'IPv6'] } as const;
    const before = await controller.pass(web(nodes, 'dual', { ...both, ports: [port, port + 1] }));
    expect(before).toMatchObject({ failed: ['AddressNotLocal', 'AddressNotLocal'], published: ['::1'] });
    expect(await ask('::1', port, cleanup)).toBe('node-1');
    expect(await ask('::1', port + 1, cleanup)).toBe('node-1');
    const { plan, published } = await controller.pass(web(nodes, 'dual', { ...both, ports: [port] }));
    expect(plan.steps.map(({ kind }) => kind)).toEqual(['openListener', 'closeListener']);
    expect(published).toEqual(['::1']);
    await expect(ask('::1', port + 1, cleanup)).rejects.toThrow('ECONNREFUSED');
  });
});

describe('an address that is still listened on', () => {
  it('is not released, whatever is asked', async () => {
    const nodes = [await startNode(cleanup, 'node-1')];
    const world = startWorld(cleanup);
    const controller = new Controller(world);
    const { holds } = await controller.pass(web(nodes, 'web'));
    const { provider } = world;
    const plan = provider.plan(undefined, await provider.observe(serviceId('web'), context()));
    const release = plan.steps.find(({ kind }) => kind === 'releaseAddress');
    if (!release) throw new Error('the plan releases nothing');
    await expect(provider.apply(release, context())).rejects.toMatchObject({ code: 'ClaimLost' });
    expect((await controller.pass(web(nodes, 'web'))).holds).toEqual(holds);
  });
});
