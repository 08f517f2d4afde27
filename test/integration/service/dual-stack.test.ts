/** IP families, in a dual-stack cluster. IPv6 has one address on loopback, which Services share by port. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openAt, openSockets } from '#test/fakes/sockets';
import { DUAL_STACK_RANGE } from '#test/control-plane/control-plane';
import { addresses, condition, useCluster, type ServiceSpec } from './cluster.ts';
import { newPool, startController, type Controller } from './controller.ts';
import { POLL } from './wait.ts';

const cluster = useCluster({ serviceClusterIpRange: DUAL_STACK_RANGE });

/** Runs a controller with this pool for the tests of the block. */
function useController(pool: string): void {
  let controller: Controller;
  beforeAll(async () => {
    controller = await startController(cluster, { flags: ['--proxy-addresses', pool] });
  });
  afterAll(async () => {
    await controller.kill();
  });
}

/** Ports of `::1` are shared with every other test, so each takes its own. */
let nextPort = 21_000;
function port(): number {
  nextPort += 1;
  return nextPort;
}

function on(number: number, spec: ServiceSpec): { readonly spec: ServiceSpec } {
  return { spec: { ports: [{ port: number }], ...spec } };
}

const isIPv4 = (address: string): boolean => address.startsWith('127.');

async function isOpenOnIPv6(number: number): Promise<boolean> {
  return (await openSockets()).includes(`[::1]:${number}/TCP`);
}

describe('a pool of both families', () => {
  useController(`${newPool()},::1`);

  describe('ipFamilyPolicy', () => {
    it.each(['PreferDualStack', 'RequireDualStack'])('%s gives an address of each family', async (ipFamilyPolicy) => {
      const namespace = await cluster.namespace();
      const number = port();
      await namespace.create('web', on(number, { ipFamilyPolicy }));
      const service = await namespace.untilProgrammed('web');
      expect(addresses(service)).toEqual([expect.stringMatching(/^127\./), '::1']);
      expect(await openAt(addresses(service)[0] ?? '')).toEqual([`${number}/TCP`]);
      expect(await isOpenOnIPv6(number)).toBe(true);
    });

    it('follows the order of ipFamilies', async () => {
      const namespace = await cluster.namespace();
      const spec = { ipFamilyPolicy: 'RequireDualStack', ipFamilies: ['IPv6', 'IPv4'] };
      await namespace.create('web', on(port(), spec));
      const service = await namespace.untilProgrammed('web');
      expect(addresses(service)).toEqual(['::1', expect.stringMatching(/^127\./)]);
    });

    it('SingleStack gives one of the family that the Service has', async () => {
      const namespace = await cluster.namespace();
      await namespace.create('v4', on(port(), { ipFamilyPolicy: 'SingleStack', ipFamilies: ['IPv4'] }));
      await namespace.create('v6', on(port(), { ipFamilyPolicy: 'SingleStack', ipFamilies: ['IPv6'] }));
      expect(addresses(await namespace.untilProgrammed('v4'))).toEqual([expect.stringMatching(/^127\./)]);
      expect(addresses(await namespace.untilProgrammed('v6'))).toEqual(['::1']);
    });

    it('may go from one family to two and back, and the primary address stays', async () => {
      const namespace = await cluster.namespace();
      const number = port();
      await namespace.create('web', on(number, { ipFamilyPolicy: 'SingleStack' }));
      const before = addresses(await namespace.untilProgrammed('web'));
      await namespace.patchSpec('web', { ipFamilyPolicy: 'RequireDualStack' });
      expect(addresses(await namespace.untilAddresses('web', 2))).toEqual([...before, '::1']);
      await namespace.updateSpec('web', ({ clusterIP, clusterIPs, ipFamilies, ...spec }) => ({
        ...spec,
        clusterIP: clusterIP ?? '',
        clusterIPs: clusterIPs?.slice(0, 1) ?? [],
        ipFamilies: ipFamilies?.slice(0, 1) ?? [],
        ipFamilyPolicy: 'SingleStack',
      }));
      expect(addresses(await namespace.untilAddresses('web', 1))).toEqual(before);
      await expect.poll(() => isOpenOnIPv6(number), POLL).toBe(false);
    });
  });

  describe('a shared address', () => {
    it('goes by port: who comes second is refused that port, and gets it when it is free', async () => {
      const namespace = await cluster.namespace();
      const number = port();
      await namespace.create('first', on(number, { ipFamilies: ['IPv6'] }));
      await namespace.untilProgrammed('first');
      await namespace.create('second', on(number, { ipFamilies: ['IPv6'] }));
      const refused = await namespace.until(
        'second',
        'a conflict',
        (service) => condition(service, 'Programmed')?.reason === 'PortConflict',
      );
      expect(addresses(refused)).toEqual([]);
      await namespace.delete('first');
      expect(addresses(await namespace.untilProgrammed('second'))).toEqual(['::1']);
    });
  });

  describe('a requested address of each family', () => {
    it('is given', async () => {
      const namespace = await cluster.namespace();
      await namespace.create('probe', on(port(), {}));
      const [taken = ''] = addresses(await namespace.untilProgrammed('probe'));
      const wanted = taken.replace(/\.\d+$/, '.150');
      await namespace.create('web', {
        annotations: { 'ballast.dev/addresses': `${wanted},::1` },
        ...on(port(), { ipFamilyPolicy: 'RequireDualStack' }),
      });
      expect(addresses(await namespace.untilProgrammed('web'))).toEqual([wanted, '::1']);
      expect(isIPv4(wanted)).toBe(true);
    });
  });
});

describe('a pool without IPv6', () => {
  useController(newPool());

  it('serves a Service that only prefers two families with one', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web', { spec: { ipFamilyPolicy: 'PreferDualStack' } });
    expect(addresses(await namespace.untilProgrammed('web'))).toEqual([expect.stringMatching(/^127\./)]);
  });

  it.each([
    { kind: 'requires two families', spec: { ipFamilyPolicy: 'RequireDualStack' } },
    { kind: 'has IPv6 only', spec: { ipFamilies: ['IPv6'], ipFamilyPolicy: 'SingleStack' } },
  ])('tells a Service that $kind why it gets nothing', async ({ spec }) => {
    const namespace = await cluster.namespace();
    await namespace.create('web', { spec });
    const service = await namespace.until(
      'web',
      'an explanation',
      (each) => condition(each, 'Programmed')?.reason === 'AddressPoolExhausted',
    );
    expect(condition(service, 'Programmed')?.status).toBe('False');
    expect(condition(service, 'Programmed')?.message).toContain('IPv6');
    expect(addresses(service)).toEqual([]);
    await namespace.untilEvent('web', 'SyncLoadBalancerFailed', /IPv6/);
  });
});
