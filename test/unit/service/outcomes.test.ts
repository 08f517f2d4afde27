import { describe, expect, it } from 'vitest';
import { service, servicePort } from '#test/fakes/builders';
import type { Rig } from '#test/fakes/service-rig';
import { startRig } from './start-rig.ts';

const WEB = 'default/web';

function reconciled(rig: Rig): readonly Readonly<Record<string, unknown>>[] {
  return rig.captured.lines.filter(({ msg }) => msg === 'reconciled');
}

describe('a reconcile that refuses something for good', () => {
  it('ends as terminal, is told loudly once, and is not tried again by itself', async () => {
    const rig = await startRig();
    rig.api.create(service({ loadBalancerClass: null, metadata: { annotations: { 'ballast.dev/algorithm': 'x' } } }));
    await rig.settle();
    expect(reconciled(rig)).toEqual([
      expect.objectContaining({ level: 'warn', outcome: 'terminal', code: 'InvalidAnnotation' }),
    ]);
    await rig.settle(rig.config.resyncMs);
    expect(
      reconciled(rig)
        .slice(1)
        .map(({ level, outcome }) => [level, outcome]),
    ).toEqual([['debug', 'terminal']]);
    rig.api.annotate(WEB, { 'ballast.dev/algorithm': 'y' });
    await rig.settle();
    expect(reconciled(rig).at(-1)).toMatchObject({ level: 'warn', outcome: 'terminal' });
    rig.api.annotate(WEB, { 'ballast.dev/algorithm': undefined });
    await rig.settle();
    expect(reconciled(rig).at(-1)).toMatchObject({ level: 'info', outcome: 'done' });
  });

  it('serves the other ports, and names the field of the one that is refused', async () => {
    const rig = await startRig();
    const ports = [servicePort(), servicePort({ port: 81, protocol: 'SCTP' })];
    rig.api.create(service({ loadBalancerClass: null, spec: { ports } }));
    await rig.settle();
    expect(rig.world.reachable()).toEqual(['192.0.2.1:80/TCP']);
    expect(rig.message(WEB, 'Programmed')).toMatch(/^spec\.ports\[1\]\.protocol: /);
    expect(rig.events.at(-1)?.message).toContain('spec.ports[1].protocol: ');
    expect(reconciled(rig).at(-1)).toMatchObject({ outcome: 'terminal', code: 'UnsupportedProtocol' });
  });

  it('names a field once', async () => {
    const rig = await startRig();
    rig.api.create(service({ loadBalancerClass: null, metadata: { annotations: { 'ballast.dev/algorithm': 'x' } } }));
    await rig.settle();
    expect(rig.message(WEB, 'Accepted')).toMatch(/^The annotation ballast\.dev\/algorithm is "x"; /);
  });
});

describe('the message of a condition', () => {
  it('is never longer than an event may be, however much is wrong', async () => {
    const rig = await startRig();
    const text = Array.from({ length: 40 }, (_, index) => `${index}${'x'.repeat(90)}`).join();
    rig.api.create(service({ loadBalancerClass: null, metadata: { annotations: { 'ballast.dev/addresses': text } } }));
    await rig.settle();
    expect(rig.condition(WEB, 'Accepted')).toBe('False InvalidAnnotation');
    expect(rig.message(WEB, 'Accepted').length).toBeLessThanOrEqual(1_024);
    for (const { message } of rig.events) expect(message.length).toBeLessThanOrEqual(1_024);
  });
});
