/** Several Services on one load balancer: joining, clashing, leaving. */
import { beforeAll, describe, expect, it } from 'vitest';
import { openAt } from '#test/fakes/sockets';
import { addresses, condition, useCluster, type Manifest, type Namespace } from './cluster.ts';
import { startController } from './controller.ts';
import { POLL } from './wait.ts';

const cluster = useCluster();
beforeAll(async () => {
  await startController(cluster, { flags: ['--allow-group', 'lent-1/shared=guest-2;lent-1/open=*'] });
});

function inGroup(group: string, ports: readonly number[]): Manifest {
  return {
    annotations: { 'ballast.dev/load-balancer': group },
    spec: { ports: ports.map((port) => ({ name: `port-${port}`, port })) },
  };
}

async function addressOf(namespace: Namespace, name: string): Promise<string> {
  const [address = ''] = addresses(await namespace.untilAddresses(name));
  return address;
}

/** Creation times have whole seconds, so age would not tell two Services of the same second apart. */
async function untilOlder(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 1_050));
}

describe('members of one group', () => {
  it('share the address, each with its own ports', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web', inGroup('shared', [80, 443]));
    await namespace.create('mail', inGroup('shared', [25]));
    await namespace.untilProgrammed('web');
    await namespace.untilProgrammed('mail');
    const address = await addressOf(namespace, 'web');
    expect(await addressOf(namespace, 'mail')).toBe(address);
    expect(await openAt(address)).toEqual(['25/TCP', '443/TCP', '80/TCP']);
  });

  it('of another namespace are another group', async () => {
    const [one, two] = [await cluster.namespace(), await cluster.namespace()];
    await one.create('web', inGroup('shared', [80]));
    await two.create('web', inGroup('shared', [80]));
    await one.untilProgrammed('web');
    await two.untilProgrammed('web');
    expect(await addressOf(one, 'web')).not.toBe(await addressOf(two, 'web'));
  });

  it('leave one by one, and the last one takes the load balancer with it', async () => {
    const namespace = await cluster.namespace();
    for (const [name, port] of [
      ['first', 80],
      ['second', 81],
      ['third', 82],
    ] as const) {
      await namespace.create(name, inGroup('shared', [port]));
      await namespace.untilProgrammed(name);
    }
    const address = await addressOf(namespace, 'first');
    await namespace.delete('first');
    await namespace.untilGone('first');
    await expect.poll(() => openAt(address), POLL).toEqual(['81/TCP', '82/TCP']);
    expect(await addressOf(namespace, 'second')).toBe(address);
    await namespace.patch('second', { spec: { type: 'ClusterIP', loadBalancerClass: null } });
    await namespace.until('second', 'the finalizer to be gone', ({ metadata }) => !metadata.finalizers);
    await expect.poll(() => openAt(address), POLL).toEqual(['82/TCP']);
    await namespace.delete('third');
    await namespace.untilGone('third');
    await expect.poll(() => openAt(address), POLL).toEqual([]);
  });
});

describe('changing the group', () => {
  it('moves a Service from its own load balancer into a group and out again', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('host', inGroup('shared', [80]));
    await namespace.create('guest', { spec: { ports: [{ port: 81 }] } });
    await namespace.untilProgrammed('host');
    await namespace.untilProgrammed('guest');
    const shared = await addressOf(namespace, 'host');
    const own = await addressOf(namespace, 'guest');
    expect(own).not.toBe(shared);

    await namespace.patch('guest', { metadata: { annotations: { 'ballast.dev/load-balancer': 'shared' } } });
    await namespace.until('guest', 'the shared address', (service) => addresses(service).join() === shared);
    await expect.poll(() => openAt(shared), POLL).toEqual(['80/TCP', '81/TCP']);
    await expect.poll(() => openAt(own), POLL).toEqual([]);

    await namespace.patch('guest', { metadata: { annotations: { 'ballast.dev/load-balancer': null } } });
    const alone = await namespace.until(
      'guest',
      'an address of its own',
      (service) => addresses(service).length === 1 && !addresses(service).includes(shared),
    );
    await expect.poll(() => openAt(shared), POLL).toEqual(['80/TCP']);
    await expect.poll(() => openAt(addresses(alone)[0] ?? ''), POLL).toEqual(['81/TCP']);
    expect(alone.metadata.finalizers).toEqual(['ballast.dev/proxy']);
  });

  it('moves a Service from one group to another', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('a', inGroup('one', [80]));
    await namespace.create('b', inGroup('two', [80]));
    await namespace.create('mover', inGroup('one', [90]));
    for (const name of ['a', 'b', 'mover']) await namespace.untilProgrammed(name);
    const [one, two] = [await addressOf(namespace, 'a'), await addressOf(namespace, 'b')];
    await namespace.patch('mover', { metadata: { annotations: { 'ballast.dev/load-balancer': 'two' } } });
    await expect.poll(() => openAt(two), POLL).toEqual(['80/TCP', '90/TCP']);
    await expect.poll(() => openAt(one), POLL).toEqual(['80/TCP']);
    await expect.poll(() => addressOf(namespace, 'mover'), POLL).toBe(two);
  });
});

describe('a clash', () => {
  it('leaves the port to the older Service, and all else to the younger', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('older', inGroup('shared', [80]));
    await untilOlder();
    await namespace.create('younger', inGroup('shared', [80, 81]));
    const younger = await namespace.until(
      'younger',
      'a conflict',
      (service) => condition(service, 'Programmed')?.reason === 'PortConflict',
    );
    expect(condition(younger, 'Accepted')).toMatchObject({ status: 'True' });
    expect(condition(younger, 'Programmed')?.message).toContain(`${namespace.name}/older`);
    const [ingress] = younger.status?.loadBalancer?.ingress ?? [];
    expect(ingress?.ports).toEqual([
      { port: 80, protocol: 'TCP', error: 'ballast.dev/PortConflict' },
      { port: 81, protocol: 'TCP' },
    ]);
    const event = await namespace.untilEvent('younger', 'SyncLoadBalancerFailed', /80\/TCP/);
    expect(event.type).toBe('Warning');
    await namespace.untilProgrammed('older');
    expect(await openAt(ingress?.ip ?? '')).toEqual(['80/TCP', '81/TCP']);

    await namespace.delete('older');
    await namespace.untilGone('older');
    const freed = await namespace.untilProgrammed('younger');
    expect(freed.status?.loadBalancer?.ingress).toEqual([{ ip: ingress?.ip, ipMode: 'Proxy' }]);
    await expect.poll(() => openAt(ingress?.ip ?? ''), POLL).toEqual(['80/TCP', '81/TCP']);
  });

  it('is none between protocols', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('tcp', inGroup('shared', [53]));
    await namespace.create('udp', {
      annotations: { 'ballast.dev/load-balancer': 'shared' },
      spec: { ports: [{ port: 53, protocol: 'UDP' }] },
    });
    await namespace.untilProgrammed('tcp');
    const udp = await namespace.untilProgrammed('udp');
    expect(await openAt(addresses(udp)[0] ?? '')).toEqual(['53/TCP', '53/UDP']);
  });
});

describe('a group of another namespace', () => {
  it('is closed unless the configuration opens it', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web', inGroup('elsewhere/shared', [80]));
    const refused = await namespace.until(
      'web',
      'a refusal',
      (service) => condition(service, 'Accepted')?.status === 'False',
    );
    expect(condition(refused, 'Accepted')?.reason).toBe('GroupNotAllowed');
    expect(addresses(refused)).toEqual([]);
  });

  it('may be joined where the configuration says so', async () => {
    await cluster.plane.request('POST', '/api/v1/namespaces', { metadata: { name: 'lent-1' } });
    await cluster.plane.request('POST', '/api/v1/namespaces', { metadata: { name: 'guest-2' } });
    const [lent, guest] = [cluster.existing('lent-1'), cluster.existing('guest-2')];
    await lent.create('host', inGroup('shared', [80]));
    await guest.create('guest', inGroup('lent-1/shared', [81]));
    await lent.untilProgrammed('host');
    await guest.untilProgrammed('guest');
    expect(await addressOf(guest, 'guest')).toBe(await addressOf(lent, 'host'));
  });
});
