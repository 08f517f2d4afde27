import { once } from 'node:events';
import { createSocket } from 'node:dgram';
import { Server, createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { desiredLoadBalancer, member, serviceId } from '#test/fakes/builders';
import type { MemberOptions } from '#test/fakes/builders';
import type { DesiredLoadBalancer } from '#src/loadbalancer/model';
import type { PlanStep } from '#src/loadbalancer/provider';
import { Cleanup, NODE_PORT, context, loopback, nodesOf, startWorld, until, type World } from './rig.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

function named(name: string, options: MemberOptions = {}): DesiredLoadBalancer {
  const members = [member({ name, listeners: [{ port: 8_080, nodePort: NODE_PORT }], ...options })];
  return desiredLoadBalancer({ id: serviceId(name), members, nodes: nodesOf([]) });
}

async function plan({ provider }: World, desired: DesiredLoadBalancer): Promise<readonly PlanStep[]> {
  return provider.plan(desired, await provider.observe(desired.id, context())).steps;
}

/** Applies the steps up to the first that fails, and returns how it failed. */
async function apply({ provider }: World, steps: readonly PlanStep[]): Promise<unknown> {
  for (const step of steps) {
    try {
      await provider.apply(step, context());
    } catch (error) {
      return error;
    }
  }
  return undefined;
}

/** The listening sockets of this process at an address; Node tells of them only under this name. */
function serversAt(address: string): readonly Server[] {
  const handles: unknown = Reflect.get(process, '_getActiveHandles').call(process);
  if (!Array.isArray(handles)) throw new Error('Node no longer tells its handles');
  return handles.filter((handle): handle is Server => {
    const bound = handle instanceof Server ? handle.address() : null;
    return typeof bound === 'object' && bound?.address === address;
  });
}

describe('what the provider holds', () => {
  it('goes to one of two load balancers that planned for the same address; the other plans again', async () => {
    const world = startWorld(cleanup);
    const [a, b] = [named('a'), named('b')];
    const [planA, planB] = [await plan(world, a), await plan(world, b)];
    expect(await apply(world, planA)).toBeUndefined();
    expect(await apply(world, planB)).toMatchObject({ code: 'ClaimLost', kind: 'conflict' });
    const { status } = await world.reconcile(b);
    expect(status.addresses).toMatchObject([{ ip: world.pool[1] }]);
  });

  it('goes to one of two load balancers that planned for the same port of a shared address', async () => {
    const world = startWorld(cleanup, {}, [loopback()]);
    const [a, b] = [named('a'), named('b')];
    const [planA, planB] = [await plan(world, a), await plan(world, b)];
    expect(await apply(world, planA)).toBeUndefined();
    expect(await apply(world, planB)).toMatchObject({ code: 'ClaimLost' });
    const after = await world.reconcile(b);
    expect(after.plan.refusals).toMatchObject([{ member: 'uid-b', code: 'PortConflict' }]);
    expect(after.status.addresses).toEqual([]);
  });

  for (const protocol of ['TCP', 'UDP'] as const) {
    const listeners = [{ port: 8_080, protocol, nodePort: NODE_PORT }];

    it(`says which port another process has (${protocol}), and opens it when that is free`, async () => {
      const world = startWorld(cleanup);
      const [address = ''] = world.pool;
      const desired = named('a', { listeners });
      const steps = await plan(world, desired);
      const squatter = protocol === 'TCP' ? createServer() : createSocket('udp4');
      if ('listen' in squatter) squatter.listen(8_080, address);
      else squatter.bind(8_080, address);
      await once(squatter, 'listening');
      expect(await apply(world, steps)).toMatchObject({
        code: 'ListenFailed',
        message: expect.stringContaining(`${address}:8080/${protocol}`),
      });
      squatter.close();
      await once(squatter, 'close');
      const { status } = await world.reconcile(desired);
      expect(status.addresses).toHaveLength(1);
    });

    it(`names the address that is not on this machine, and the flag (${protocol})`, async () => {
      // 198.51.100.0/24 is for documentation (RFC 5737): no machine has it.
      const world = startWorld(cleanup, {}, ['198.51.100.1']);
      const failure = await apply(world, await plan(world, named('a', { listeners })));
      expect(failure).toMatchObject({ code: 'AddressNotLocal', kind: 'retryable' });
      expect(String(failure)).toContain('198.51.100.1');
      expect(String(failure)).toContain('--proxy-interface');
    });
  }

  it('opens a socket again that died by itself, and says that it did', async () => {
    const world = startWorld(cleanup);
    const desired = named('a');
    await world.reconcile(desired);
    const changed: string[] = [];
    world.provider.onChange(({ name }) => changed.push(name));
    const servers = serversAt(world.pool[0] ?? '');
    expect(servers).toHaveLength(1);
    for (const server of servers) server.close();
    await until(() => changed.length > 0, 'it is told');
    expect(changed).toEqual(['a']);
    const { plan: repair } = await world.reconcile(desired);
    expect(repair.steps.map(({ kind }) => kind)).toEqual(['openListener']);
  });
});
