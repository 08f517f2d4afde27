import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InterfaceAddresses } from '#providers/proxy/interface-addresses';
import { BallastError } from '#src/errors';
import { FakeClock } from '#test/fakes/clock';
import { FakeIp } from './fake-ip.ts';

interface Rig {
  readonly ip: FakeIp;
  readonly clock: FakeClock;
  readonly addresses: InterfaceAddresses;
  /** What the neighbours were told. */
  readonly announced: string[];
}

function rig(ip: FakeIp = new FakeIp(), device = 'eth0'): Rig {
  const clock = new FakeClock();
  const announced: string[] = [];
  const announce = (address: string): number => announced.push(address);
  return { ip, clock, announced, addresses: new InterfaceAddresses(device, ip.run, clock, announce) };
}

const { signal } = new AbortController();
const always = (): boolean => true;

describe('addresses on an interface', () => {
  it('are added as single addresses, and found local afterwards', async () => {
    const { ip, addresses } = rig();
    await addresses.add('192.0.2.1', signal);
    await addresses.add('fd00::1', signal);
    expect(ip.calls).toEqual([
      '-j addr show',
      'addr add 192.0.2.1/32 dev eth0 metric 47633',
      'addr add fd00::1/128 dev eth0 metric 47633 nodad',
    ]);
    expect([...(await addresses.local(signal))]).toEqual([
      '127.0.0.1',
      '192.0.2.250',
      'fe80::1',
      '192.0.2.1',
      'fd00::1',
    ]);
    expect(await addresses.ours(signal)).toEqual(['192.0.2.1', 'fd00::1']);
  });

  it('are announced to the neighbours when they have come, and only then', async () => {
    const { ip, addresses, announced } = rig();
    await addresses.add('192.0.2.1', signal);
    expect(announced).toEqual(['192.0.2.1']);
    await addresses.add('192.0.2.1', signal);
    await addresses.add('192.0.2.250', signal);
    ip.failWith = 'no';
    await expect(addresses.add('192.0.2.2', signal)).rejects.toMatchObject({ code: 'InterfaceFailed' });
    await addresses.remove('192.0.2.1', always, signal);
    expect(announced).toEqual(['192.0.2.1']);
  });

  it('are not added by one that was told, while it waited for its turn, that it may not', async () => {
    const { ip, addresses } = rig();
    let mayAdd = true;
    const fence = (): void => {
      if (!mayAdd) throw new BallastError('NotLeader', 'fenced');
    };
    const first = addresses.add('192.0.2.1', signal, fence).then(() => (mayAdd = false));
    const second = addresses.add('192.0.2.2', signal, fence);
    await expect(second).rejects.toMatchObject({ code: 'NotLeader' });
    await first;
    expect(ip.on('eth0')).toContain('192.0.2.1');
    expect(ip.on('eth0')).not.toContain('192.0.2.2');
  });

  it('are left alone when somebody else put them there', async () => {
    const { ip, addresses } = rig();
    await addresses.add('192.0.2.250', signal);
    await addresses.remove('192.0.2.250', always, signal);
    expect(ip.calls).toEqual(['-j addr show']);
    expect(ip.on('eth0')).toContain('192.0.2.250');
  });

  it('are known as ours after a crash, and only those on our interface', async () => {
    const before = rig();
    await before.addresses.add('192.0.2.1', signal);
    before.ip.entries.push({ device: 'eth1', family: 'inet', local: '192.0.2.9', prefixlen: 32, metric: 47_633 });
    before.ip.entries.push({ device: 'eth0', family: 'inet', local: '192.0.2.8', prefixlen: 24, metric: 47_633 });
    before.ip.entries.push({ device: 'eth0', family: 'inet', local: '192.0.2.7', prefixlen: 32 });
    const after = rig(before.ip);
    expect(await after.addresses.ours(signal)).toEqual(['192.0.2.1']);
    for (const address of ['192.0.2.1', '192.0.2.7', '192.0.2.8', '192.0.2.9']) {
      await after.addresses.remove(address, always, signal);
    }
    expect(after.ip.on('eth0')).toEqual(['192.0.2.250', 'fe80::1', '192.0.2.8', '192.0.2.7']);
    expect(after.ip.on('eth1')).toEqual(['192.0.2.9']);
  });

  it('stay when somebody has come to need them meanwhile', async () => {
    const { ip, addresses } = rig();
    await addresses.add('192.0.2.1', signal);
    let isNeeded = false;
    const slow = addresses.add('192.0.2.2', signal);
    const removal = addresses.remove('192.0.2.1', () => !isNeeded, signal);
    isNeeded = true;
    await Promise.all([slow, removal]);
    expect(ip.on('eth0')).toContain('192.0.2.1');
  });

  it('are looked up once a second at most, and again after what others did', async () => {
    const { ip, clock, addresses } = rig();
    await addresses.add('192.0.2.1', signal);
    ip.remove('192.0.2.1');
    expect((await addresses.local(signal)).has('192.0.2.1')).toBe(true);
    await clock.advance(1_000);
    expect((await addresses.local(signal)).has('192.0.2.1')).toBe(false);
    await addresses.local(signal);
    expect(ip.calls.filter((call) => call === '-j addr show')).toHaveLength(2);
  });

  it('count as added when somebody else was faster, and as removed likewise', async () => {
    const { ip, addresses } = rig();
    await addresses.local(signal);
    ip.entries.push({ device: 'eth0', family: 'inet', local: '192.0.2.1', prefixlen: 32 });
    await addresses.add('192.0.2.1', signal);
    await addresses.add('192.0.2.2', signal);
    ip.remove('192.0.2.2');
    await addresses.remove('192.0.2.2', always, signal);
    expect(ip.on('eth0')).toEqual(['192.0.2.250', 'fe80::1', '192.0.2.1']);
  });

  it('fail with the words of `ip`, and work when it does again', async () => {
    const { ip, addresses } = rig();
    await addresses.local(signal);
    ip.failWith = 'RTNETLINK answers: Operation not permitted';
    const failure = addresses.add('192.0.2.1', signal);
    await expect(failure).rejects.toMatchObject({ code: 'InterfaceFailed' });
    await expect(failure).rejects.toThrow('Operation not permitted');
    await expect(failure).rejects.toThrow('CAP_NET_ADMIN');
    await addresses.add('192.0.2.1', signal);
    expect(await addresses.ours(signal)).toEqual(['192.0.2.1']);

    const elsewhere = rig(new FakeIp(), 'nope0');
    await expect(elsewhere.addresses.add('192.0.2.1', signal)).rejects.toThrow('Cannot find device "nope0"');
  });

  it('throw nothing but InterfaceFailed, whatever `ip` says', async () => {
    const json = fc.oneof(fc.string(), fc.json(), fc.constant('[{"addr_info":[{"local":"nonsense"}]}]'));
    await fc.assert(
      fc.asyncProperty(json, async (text) => {
        const addresses = new InterfaceAddresses('eth0', async () => text, new FakeClock());
        const outcome = await addresses.local(signal).catch((error: unknown) => error);
        expect(outcome instanceof Set || (outcome instanceof BallastError && outcome.code === 'InterfaceFailed')).toBe(
          true,
        );
      }),
    );
  });

  it('end as aborted when the signal aborts', async () => {
    const { ip, addresses } = rig();
    ip.failWith = 'killed';
    await expect(addresses.local(AbortSignal.abort())).rejects.toMatchObject({ name: 'AbortError' });
  });
});
