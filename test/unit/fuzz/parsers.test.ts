/** Everything that is read from outside, over any bytes: it is understood, or refused with a code, and nothing else. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PROVIDERS } from '#providers/registry';
import { PROXY_OPTIONS, parseProxyOptions } from '#providers/proxy/options';
import { parsePool } from '#providers/proxy/pool';
import { proxyHeader } from '#providers/proxy/proxy-protocol';
import { SourceRanges, clientAddress } from '#providers/proxy/source-ranges';
import { providerSettings } from '#src/cli/context';
import { loadConfig } from '#src/config';
import { CORE_OPTIONS, environmentVariable } from '#src/config/core-options';
import { BallastError } from '#src/errors';
import { SETTING_PARSERS } from '#src/loadbalancer/annotations';
import { formatIp, parseCidr, parseIp } from '#src/loadbalancer/ip';
import { formatDuration, parseDuration } from '#src/loadbalancer/options';
import { FUZZ_TIMEOUT_MS, fuzz, fuzzAsync } from '#test/fakes/fuzz';

/** What a call gives; undefined when it refuses. Anything but a BallastError fails the test. */
function accepted<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (!(error instanceof BallastError) || error.message === '') throw error;
    return undefined;
  }
}

const ipv4 = fc.nat(2 ** 32 - 1).map((value) => formatIp('IPv4', BigInt(value)));
const ipv6 = fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map((value) => formatIp('IPv6', value));
const address = fc.oneof(
  ipv4,
  ipv6,
  ipv4.map((text) => `::ffff:${text}`),
);

/** Bytes, and texts that come near to what is meant. */
const text: fc.Arbitrary<string> = fc.oneof(
  fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: fc.constantFrom(...'0123456789abcdef:.,-/%[]=; msh*'.split('')), maxLength: 40 }),
  address,
  fc.tuple(address, fc.integer({ min: -1, max: 200 })).map(([ip, prefix]) => `${ip}/${prefix}`),
  fc.tuple(address, address).map((ends) => ends.join('-')),
  fc.integer().map(String),
);

describe('addresses, ranges and pools', () => {
  it(
    'are read or refused, whatever they are',
    () => {
      fuzz(
        fc.property(fc.array(text, { maxLength: 4 }), text, (entries, client) => {
          for (const entry of entries) {
            const ip = parseIp(entry);
            expect(ip && parseIp(ip.text)).toEqual(ip);
            const cidr = parseCidr(entry);
            expect(cidr && parseCidr(cidr)).toBe(cidr);
          }
          accepted(() => parsePool(entries, 'proxy-addresses'));
          const ranges = new SourceRanges(entries.flatMap((entry) => parseCidr(entry) ?? []));
          expect(typeof ranges.allows(clientAddress(client))).toBe('boolean');
        }),
        600,
      );
    },
    FUZZ_TIMEOUT_MS,
  );

  it(
    'let in whom they hold, and nobody else',
    () => {
      fuzz(
        fc.property(ipv4, ipv4, fc.integer({ min: 0, max: 32 }), (network, client, prefix) => {
          const cidr = parseCidr(`${network}/${prefix}`) ?? '';
          const bits = (ip: string): bigint => (parseIp(ip)?.value ?? 0n) >> BigInt(32 - prefix);
          const holds = bits(network) === bits(client);
          expect(new SourceRanges([cidr]).allows(client)).toBe(holds);
          expect(new SourceRanges([cidr]).allows(clientAddress(`::ffff:${client}`))).toBe(holds);
        }),
        300,
      );
    },
    FUZZ_TIMEOUT_MS,
  );
});

describe('the PROXY protocol header', () => {
  /** The two ends that a header of version 2 tells (haproxy's proxy-protocol.txt, 2.2). */
  function endsOf(header: Buffer): readonly (readonly [address: string | undefined, port: number])[] {
    expect(header.subarray(0, 13).toString('latin1')).toBe('\r\n\r\n\0\r\nQUIT\n!');
    const size = header[13] === 0x11 ? 4 : 16;
    expect([0x11, 0x21]).toContain(header[13]);
    expect(header.readUInt16BE(14)).toBe(header.length - 16);
    expect(header).toHaveLength(16 + 2 * size + 4);
    return [0, 1].map((index) => {
      const bytes = header.subarray(16 + index * size, 16 + (index + 1) * size);
      const value = BigInt(`0x${bytes.toString('hex')}`);
      return [formatIp(size === 4 ? 'IPv4' : 'IPv6', value), header.readUInt16BE(16 + 2 * size + 2 * index)] as const;
    });
  }

  const port = fc.integer({ min: 0, max: 65_535 });

  it(
    'tells both ends of every connection',
    () => {
      fuzz(
        fc.property(address, port, address, port, (client, clientPort, own, ownPort) => {
          const ends = endsOf(proxyHeader({ clientAddress: client, clientPort, address: own, port: ownPort }));
          const mixed = client.includes(':') || own.includes(':');
          const written = (ip: string): string | undefined =>
            parseIp(mixed && !ip.includes(':') ? `::ffff:${ip}` : ip)?.text;
          expect(ends).toEqual([
            [written(client), clientPort],
            [written(own), ownPort],
          ]);
        }),
        500,
      );
    },
    FUZZ_TIMEOUT_MS,
  );

  it(
    'is whole or refused for anything else',
    () => {
      const number = fc.oneof(port, fc.integer(), fc.double());
      fuzz(
        fc.property(text, number, text, number, (client, clientPort, own, ownPort) => {
          const header = accepted(() =>
            proxyHeader({ clientAddress: client, clientPort, address: own, port: ownPort }),
          );
          expect(header === undefined || endsOf(header).length === 2).toBe(true);
        }),
        1_000,
      );
    },
    FUZZ_TIMEOUT_MS,
  );
});

describe('settings', () => {
  it(
    'of annotations are read or not, whatever they are',
    () => {
      fuzz(
        fc.property(fc.constantFrom(...Object.values(SETTING_PARSERS)), text, (parse, value) => {
          expect(['undefined', 'object']).toContain(typeof parse(value));
        }),
        500,
      );
    },
    FUZZ_TIMEOUT_MS,
  );

  it(
    'that are durations mean what they say, and are written as they are read',
    () => {
      fuzz(
        fc.property(text, fc.nat(86_400_000), (written, milliseconds) => {
          const read = parseDuration(written);
          expect(read === undefined || (Number.isSafeInteger(read) && read >= 0)).toBe(true);
          expect(parseDuration(formatDuration(milliseconds))).toBe(milliseconds);
        }),
        500,
      );
    },
    FUZZ_TIMEOUT_MS,
  );

  const json = fc.jsonValue({ maxDepth: 2 });

  it(
    'of the proxy are taken or refused, whatever they are',
    () => {
      const raw = fc.dictionary(
        fc.oneof(fc.constantFrom(...PROXY_OPTIONS.map(({ name }) => name)), text),
        fc.oneof(json, fc.array(text, { maxLength: 3 }), text, fc.integer(), fc.double()),
        { maxKeys: 4 },
      );
      fuzz(
        fc.property(raw, (values) => {
          const options = accepted(() => parseProxyOptions(values));
          expect(options === undefined || options.maxConnections > 0).toBe(true);
        }),
        500,
      );
    },
    FUZZ_TIMEOUT_MS,
  );

  const names = [...CORE_OPTIONS, ...PROXY_OPTIONS].map(({ name }) => name).filter((name) => name !== 'config');
  const providers = providerSettings({ providers: PROVIDERS });
  const flags = fc.dictionary(fc.constantFrom(...names), fc.oneof(text, fc.array(text, { maxLength: 3 })), {
    maxKeys: 3,
  });
  const env = fc.dictionary(
    fc.oneof(
      fc.constantFrom(...names.map(environmentVariable)),
      text.map((part) => `BALLAST_${part}`),
    ),
    text,
    { maxKeys: 3 },
  );
  /** YAML that is whole, YAML that is nearly so, and bytes. */
  const files = fc.oneof(
    fc
      .dictionary(fc.oneof(fc.constantFrom(...names), text), json, { maxKeys: 4 })
      .map((value) => JSON.stringify(value)),
    fc
      .array(
        fc.tuple(fc.constantFrom(...names, '<<', '*a', '&a b', '? x', '- x', '!!js/function x', '%YAML 9.9'), text),
      )
      .map((lines) => lines.map(([name, value]) => `${name}: ${value}`).join('\n')),
    fc.constantFrom(
      'a: &a [*a]',
      'x: *nowhere',
      'workers: !!int many',
      'workers: 2\nworkers: 3',
      '--- 1\n--- 2',
      `a: &a [x,x]\n${'b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n'.repeat(9)}`,
      '\ufeffworkers: 3',
      '[',
      '{a: ',
      '\t',
      'x: !!binary "%%%"',
      'x: !!timestamp never',
      '? {a: b}\n: c',
      '[a]: b',
    ),
    text,
  );

  it(
    'of flags, environment and file give a configuration or say what is wrong',
    async () => {
      const folder = await mkdtemp(join(tmpdir(), 'ballast-fuzz-'));
      try {
        const path = join(folder, 'config.yaml');
        await fuzzAsync(
          fc.asyncProperty(flags, env, fc.option(files, { nil: undefined }), async (given, variables, file) => {
            if (file !== undefined) await writeFile(path, Buffer.from(file, 'latin1'));
            const all = file === undefined ? given : { ...given, config: path };
            const refusal: unknown = await loadConfig({ flags: all, env: variables, providers }).then(
              () => undefined,
              (error: unknown) => error,
            );
            if (refusal === undefined) return;
            expect(refusal).toBeInstanceOf(BallastError);
            expect(refusal).toMatchObject({ code: 'InvalidConfig', message: expect.stringMatching(/\S/) });
          }),
          400,
        );
      } finally {
        await rm(folder, { recursive: true });
      }
    },
    FUZZ_TIMEOUT_MS,
  );
});
