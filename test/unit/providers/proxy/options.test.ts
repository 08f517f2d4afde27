import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BallastError } from '#src/errors';
import { PROXY_OPTIONS, parseProxyOptions } from '#providers/proxy/options';

/** What is thrown at these values; undefined when they are accepted. */
function refusal(raw: Readonly<Record<string, unknown>>): unknown {
  try {
    parseProxyOptions(raw);
    return undefined;
  } catch (error) {
    return error;
  }
}

describe('the options of the proxy provider', () => {
  it('begin with its name, once each', () => {
    const names = PROXY_OPTIONS.map(({ name }) => name);
    expect(names.every((name) => name.startsWith('proxy-'))).toBe(true);
    expect(new Set(names).size).toBe(names.length);
  });

  it('have the defaults that the table says', () => {
    const options = parseProxyOptions({});
    expect(options).toMatchObject({ algorithm: 'round-robin', interface: undefined, healthPort: 10_256 });
    expect(options).toMatchObject({ idleTimeoutMs: 3_600_000, connectTimeoutMs: 2_000, drainTimeoutMs: 30_000 });
    expect(options.pool).toEqual({ IPv4: [{ first: 0x7f000001n, last: 0x7f000001n }], IPv6: [] });
  });

  it('are taken where they are given', () => {
    const options = parseProxyOptions({
      'proxy-addresses': ['192.0.2.1-192.0.2.3', 'fd00::/127'],
      'proxy-interface': 'eth0',
      'proxy-algorithm': 'least-connections',
      'proxy-drain-timeout': 0,
    });
    expect(options).toMatchObject({ interface: 'eth0', algorithm: 'least-connections', drainTimeoutMs: 0 });
    expect(options.pool.IPv4).toEqual([{ first: 0xc0000201n, last: 0xc0000203n }]);
  });

  const refused: readonly (readonly [string, unknown])[] = [
    ['proxy-addresses', []],
    ['proxy-addresses', ['nowhere']],
    ['proxy-addresses', '127.0.0.1'],
    ['proxy-interface', ''],
    ['proxy-interface', '-d'],
    ['proxy-interface', 'a name far too long'],
    ['proxy-algorithm', 'random'],
    ['proxy-max-connections', 0],
    ['proxy-max-connections', 1.5],
    ['proxy-max-connections', '10'],
    ['proxy-health-port', 65_536],
    ['proxy-connect-timeout', 9],
    ['proxy-conect-timeout', 1_000],
  ];
  for (const [name, value] of refused) {
    it(`refuse ${name} ${JSON.stringify(value)}, by name`, () => {
      const error = refusal({ [name]: value });
      expect(error).toMatchObject({ code: 'InvalidConfig', field: name });
      expect(String(error)).toContain(`--${name}`);
    });
  }

  it('throw nothing but InvalidConfig, whatever they are given', () => {
    const names = fc.constantFrom<string>(...PROXY_OPTIONS.map(({ name }) => name), 'other');
    fc.assert(
      fc.property(fc.dictionary(names, fc.anything()), (raw) => {
        const error = refusal(raw);
        expect(error === undefined || error instanceof BallastError).toBe(true);
      }),
    );
  });
});
