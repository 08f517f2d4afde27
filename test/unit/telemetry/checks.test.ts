import { describe, expect, it } from 'vitest';
import { runChecks } from '#src/telemetry/checks';

describe('runChecks', () => {
  it('passes when every check does', () => {
    const checks = [
      { name: 'store/services', check: () => true },
      { name: 'provider/proxy', check: () => true },
    ];
    expect(runChecks('readyz', checks)).toEqual({
      ok: true,
      text: '[+]store/services ok\n[+]provider/proxy ok\nreadyz check passed\n',
    });
  });

  it('passes without any check', () => {
    expect(runChecks('healthz', [])).toEqual({ ok: true, text: 'healthz check passed\n' });
  });

  it('says which check fails and why, also when it throws', () => {
    const checks = [
      { name: 'a', check: () => true },
      { name: 'b', check: () => 'not synced' },
      { name: 'c', check: () => false },
      {
        name: 'd',
        check: () => {
          throw new Error('boom');
        },
      },
    ];
    expect(runChecks('readyz', checks)).toEqual({
      ok: false,
      text: '[+]a ok\n[-]b failed: not synced\n[-]c failed\n[-]d failed: boom\nreadyz check failed\n',
    });
  });
});
