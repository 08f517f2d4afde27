import { describe, expect, it } from 'vitest';
import { withLeader, withoutOutside } from '#src/cli/explain/fresh';
import { explanationText } from '#src/cli/explain/text';
import { isHeld, readLeadership } from '#src/cli/inquiry/lease';
import { parseServiceName } from '#src/cli/inquiry/target';
import { BallastError } from '#src/errors';
import type { Lease } from '#src/kube/wire';
import type { Decision } from '#src/service/explain';

const CLAIM: Decision = { subject: 'claim', verdict: 'yes', text: 'The provider proxy takes it.' };

describe('an explanation as text', () => {
  it('points at the first no, and closes with it', () => {
    const decisions: readonly Decision[] = [
      CLAIM,
      { subject: 'load balancer', verdict: 'info', text: 'Its own.' },
      { subject: 'request', verdict: 'no', text: 'Bad annotation.' },
      { subject: 'status', verdict: 'no', text: 'EXTERNAL-IP shows nothing.' },
    ];
    expect(explanationText({ service: 'default/web', decisions })).toBe(
      [
        'Service default/web',
        '  ✓ claim          The provider proxy takes it.',
        '  · load balancer  Its own.',
        '→ ✗ request        Bad annotation.',
        '  ✗ status         EXTERNAL-IP shows nothing.',
        '',
        'Look at “request” first: Bad annotation.',
        '',
      ].join('\n'),
    );
  });

  it('says so when nothing says no', () => {
    expect(explanationText({ service: 'a/b', decisions: [CLAIM] })).toContain('Every decision says yes.');
  });
});

describe('an explanation without the controller', () => {
  it('leaves out what only the running controller can know, but not what was refused', () => {
    const decisions: readonly Decision[] = [
      CLAIM,
      { subject: 'address', verdict: 'no', text: 'AddressNotInPool: 192.0.2.1 is not in the pool.' },
      { subject: 'address', verdict: 'no', text: 'The load balancer has no address yet.' },
      { subject: 'plan', verdict: 'info', text: '4 steps are left.' },
      { subject: 'traffic', verdict: 'no', text: 'NoHealthyTargets: none.' },
      { subject: 'status', verdict: 'yes', text: 'EXTERNAL-IP shows 192.0.2.1.' },
    ];
    const known = withoutOutside(decisions);
    expect(known.map(({ subject }) => subject)).toEqual(['claim', 'address', 'outside', 'status']);
    expect(known[1]?.text).toContain('AddressNotInPool');
    expect(known[2]?.text).toContain('--controller');
  });

  it('says who leads, behind the claim, as far as that is known', () => {
    const status: Decision = { subject: 'status', verdict: 'yes', text: 'EXTERNAL-IP shows 192.0.2.1.' };
    const pod = { identity: 'pod-1', lease: 'ballast-system/ballast-controller' };
    expect(withLeader([CLAIM, status], undefined)).toEqual([CLAIM, status]);
    expect(withLeader([CLAIM, status], { kind: 'others', holders: [pod] })).toEqual([
      CLAIM,
      { subject: 'leader', verdict: 'yes', text: 'The controller pod-1 leads and does the work.' },
      status,
    ]);
    expect(withLeader([CLAIM], { kind: 'others', holders: [] })[1]).toMatchObject({ subject: 'leader', verdict: 'no' });
  });

  it('names all who lead, when there are several, as the thing to look at', () => {
    const holders = [
      { identity: 'laptop_1', lease: 'kube-system/ballast-controller' },
      { identity: 'pod_2', lease: 'ballast-system/ballast-controller' },
    ];
    const leader = withLeader([CLAIM], { kind: 'others', holders })[1];
    expect(leader).toMatchObject({ subject: 'leader', verdict: 'no' });
    expect(leader?.text).toContain(
      'laptop_1 (Lease kube-system/ballast-controller), pod_2 (Lease ballast-system/ballast-controller)',
    );
  });
});

describe('who leads', () => {
  const lease = (namespace: string, holderIdentity: string): Lease => ({
    metadata: { name: 'ballast-controller', namespace, uid: namespace, resourceVersion: '1' },
    spec: { holderIdentity, leaseDurationSeconds: 15, renewTime: new Date().toISOString() },
  });
  const forbidden = (): Promise<never> => Promise.reject(new BallastError('ApiForbidden', 'no'));

  it('is everybody who holds a Lease of the name, in whatever namespace', async () => {
    const items = [lease('kube-system', 'laptop_1'), lease('ballast-system', 'pod_2'), lease('other', '')];
    const client = { all: async () => items, own: forbidden };
    expect(await readLeadership(client)).toEqual({
      kind: 'others',
      holders: [
        { identity: 'laptop_1', lease: 'kube-system/ballast-controller' },
        { identity: 'pod_2', lease: 'ballast-system/ballast-controller' },
      ],
    });
  });

  it('is the holder of the configured Lease where no others may be listed, as for the controller itself', async () => {
    const client = { all: forbidden, own: async () => lease('ballast-system', 'pod_2') };
    expect(await readLeadership(client)).toMatchObject({ holders: [{ identity: 'pod_2' }] });
    const none = (): Promise<never> => Promise.reject(new BallastError('ApiNotFound', 'none'));
    expect(await readLeadership({ all: forbidden, own: none })).toEqual({ kind: 'others', holders: [] });
  });

  it('stays unsaid where no Lease may be read, and a failure to read it is thrown', async () => {
    expect(await readLeadership({ all: forbidden, own: forbidden })).toBeUndefined();
    const away = (): Promise<never> => Promise.reject(new BallastError('ApiUnavailable', 'away'));
    await expect(readLeadership({ all: away, own: forbidden })).rejects.toMatchObject({
      code: 'ApiUnavailable',
    });
    await expect(readLeadership({ all: forbidden, own: away })).rejects.toMatchObject({
      code: 'ApiUnavailable',
    });
  });
});

describe('a Lease', () => {
  const lease = (spec: Lease['spec']): Lease => ({
    metadata: { name: 'ballast-controller', uid: 'u', resourceVersion: '1' },
    ...(spec && { spec }),
  });
  const renewed = Date.parse('2026-01-01T00:00:00Z');
  const held = lease({ holderIdentity: 'a', leaseDurationSeconds: 15, renewTime: '2026-01-01T00:00:00.000000Z' });

  it('is held until it has run out, with a minute for clocks that differ', () => {
    expect(isHeld(held, renewed + 10_000)).toBe(true);
    expect(isHeld(held, renewed + 75_000)).toBe(true);
    expect(isHeld(held, renewed + 75_001)).toBe(false);
  });

  it('is not held when it was given back or never taken', () => {
    expect(isHeld(lease({ ...held.spec, holderIdentity: '' }), renewed)).toBe(false);
    expect(isHeld(lease(undefined), renewed)).toBe(false);
  });
});

describe('the name of a Service', () => {
  it('is read as kubectl reads it', () => {
    for (const text of ['web', 'svc/web', 'service/web', 'services/web']) expect(parseServiceName(text)).toBe('web');
  });

  it('is refused when it is something else', () => {
    for (const text of ['', 'pod/web', 'default/web', 'svc/', 'Web', 'svc/web/x']) {
      expect(() => parseServiceName(text)).toThrow(`${text} names no Service; write svc/NAME.`);
    }
  });
});
