import { describe, expect, it } from 'vitest';
import type { PrintedPlan } from '#src/cli/inquiry/wire';
import { planExitCode } from '#src/cli/plan/exit';
import { planText } from '#src/cli/plan/text';

function plan(given: Partial<PrintedPlan>): PrintedPlan {
  return {
    provider: 'proxy',
    key: 'service/default/web',
    name: 'default/web',
    members: ['default/web'],
    leaving: [],
    preparations: [],
    steps: [],
    refusals: [],
    warnings: [],
    kept: false,
    ...given,
  };
}

describe('a plan as text', () => {
  it('numbers the steps and marks what they do to traffic', () => {
    const steps = [
      { summary: 'Assign 192.0.2.1', impact: 'none' },
      { summary: 'Close 80/TCP', impact: 'drains' },
      { summary: 'Move to 192.0.2.2', impact: 'breaks' },
    ] as const;
    expect(planText([plan({ steps })], { service: 'default/web' })).toBe(
      [
        'default/web  (proxy)',
        '   1.   Assign 192.0.2.1',
        '   2. ~ Close 80/TCP  (open connections drain)',
        '   3. ! Move to 192.0.2.2  (BREAKS connections)',
        '',
        '1 load balancer, 0 as asked, 3 steps to take (1 of them break connections, 1 drain connections).',
        '',
      ].join('\n'),
    );
  });

  it('shows refusals, warnings, preparations and who comes and goes', () => {
    const group = plan({
      key: 'group/shop/front',
      name: 'shop/front',
      members: ['shop/a', 'shop/b'],
      leaving: ['shop/c'],
      preparations: ['shop/a gets a finalizer'],
      refusals: [{ code: 'PortConflict', message: 'Port 80/TCP belongs to shop/a.' }],
      warnings: ['ballast.dev/algoritm means nothing.'],
      kept: true,
    });
    expect(planText([group], {})).toBe(
      [
        'shop/front  (proxy, shared by shop/a, shop/b)',
        '      lets go of shop/c',
        '      first: shop/a gets a finalizer',
        '      refused: PortConflict: Port 80/TCP belongs to shop/a.',
        '      note: ballast.dev/algoritm means nothing.',
        '      stays as it is until the request is accepted',
        '',
        '1 load balancer, 0 as asked, 0 steps to take, 1 refused.',
        '',
      ].join('\n'),
    );
  });

  it('leaves out what is as asked, unless that was the question', () => {
    const both = [plan({}), plan({ name: 'default/api', steps: [{ summary: 'Open 80/TCP', impact: 'none' }] })];
    const text = planText(both, { namespace: 'default' });
    expect(text).not.toContain('default/web');
    expect(text).toContain('2 load balancers, 1 as asked, 1 step to take.');
    expect(planText([plan({})], { service: 'default/web' })).toContain('default/web  (proxy)\n      nothing to do\n');
  });

  it('does not claim to know what a controller has done that does not answer', () => {
    const steps = [{ summary: 'Open 80/TCP', impact: 'none' }] as const;
    const expected = [
      '1 load balancer, 0 as asked, 1 step to take for a controller that starts now.',
      'What the controller that leads has done cannot be seen from here: ask it in its pod or on its machine, or ' +
        'through kubectl port-forward with --controller (docs/deploy.md, “Asking it”).',
      '',
    ].join('\n');
    expect(planText([plan({ steps })], {}, new Set(['proxy']))).toContain(expected);
    expect(planText([plan({ steps, provider: 'cloud' })], {}, new Set(['proxy']))).toContain('1 step to take.\n');
  });

  it('says why there is nothing', () => {
    expect(planText([], { service: 'a/b' })).toContain('a/b is not for this controller; `ballast explain` says why.');
    expect(planText([], { namespace: 'a' })).toContain('No Service of the namespace a is for this controller');
    expect(planText([], {})).toContain('No Service of the cluster');
  });
});

describe('the exit code of a plan', () => {
  const steps = [{ summary: 'Open 80/TCP', impact: 'none' }] as const;
  const proxy = new Set(['proxy']);

  it('is 2 when there is something to do, be it only a preparation', () => {
    expect(planExitCode([plan({}), plan({ steps })], new Set())).toBe(2);
    expect(planExitCode([plan({ preparations: ['a finalizer'] })], new Set())).toBe(2);
    expect(planExitCode([plan({})], new Set())).toBe(0);
    expect(planExitCode([], proxy)).toBe(0);
  });

  it('is 1 when only the running controller could tell', () => {
    expect(planExitCode([plan({ steps })], proxy)).toBe(1);
    expect(planExitCode([plan({})], proxy)).toBe(1);
    expect(planExitCode([plan({ steps }), plan({ provider: 'cloud' })], proxy)).toBe(1);
  });

  it('is 2 when another provider has something to do for certain', () => {
    expect(planExitCode([plan({ steps }), plan({ provider: 'cloud', steps })], proxy)).toBe(2);
  });
});
