/** What a user writes into a Service may cost time in proportion to its length, and never control a terminal or a log. */
import { describe, expect, it, vi } from 'vitest';
import { buildDesired } from '#src/loadbalancer/desired';
import { cut } from '#src/loadbalancer/conditions';
import { parseCidr, parseIp } from '#src/loadbalancer/ip';
import { parseDuration } from '#src/loadbalancer/options';
import { quoted } from '#src/loadbalancer/problem';
import type { Capabilities } from '#src/loadbalancer/provider';
import { redactText } from '#src/telemetry/redact';
import { nodeSet, service, serviceId, servicePort, type ServiceOptions } from '#test/fakes/builders';
import { captureLog } from '#test/fakes/log';

const capabilities: Capabilities = {
  needsNodePorts: true,
  protocols: ['TCP', 'UDP'],
  ipMode: 'Proxy',
  sharing: true,
  maxListeners: 100,
  settings: ['algorithm', 'idleTimeoutSeconds', 'drainTimeoutSeconds', 'maxConnections', 'proxyProtocol'],
  inProcess: true,
  seenFromOutside: false,
};

function judge(options: ServiceOptions): ReturnType<typeof buildDesired> {
  return buildDesired({
    id: serviceId(),
    services: [service(options)],
    nodes: nodeSet(),
    allowedGroups: new Map(),
    addressGrants: [{ addresses: '*', namespaces: '*' }],
    endpointSlicesOf: () => [],
    capabilities,
  });
}

/** Every annotation that is read, with this value. */
const annotated = (value: string): ServiceOptions => ({
  metadata: {
    annotations: Object.fromEntries(
      [
        'load-balancer',
        'addresses',
        'algorithm',
        'proxy-protocol',
        'idle-timeout',
        'max-connections',
        'drain-timeout',
        'unknown-annotation',
      ].map((name) => [`ballast.dev/${name}`, value]),
    ),
  },
  spec: { loadBalancerSourceRanges: [value], loadBalancerIP: value },
});

/** What the API server takes at most: 256 KiB of annotations. */
const LONGEST = 256 * 1024;
const fill = (pattern: string): string => pattern.repeat(Math.ceil(LONGEST / pattern.length)).slice(0, LONGEST);
/** Quadratic work on a value of this length takes a minute and more; a busy machine does not. */
const PATIENCE_MS = 30_000;
vi.setConfig({ testTimeout: 120_000 });

describe('a value of 256 KiB', () => {
  const patterns = [
    'a',
    '1',
    '-',
    'a-',
    ':',
    '1:',
    '::',
    '.',
    '1.',
    ',',
    '1,',
    '10.0.0.1,',
    '/',
    'a/',
    ' ',
    '1s',
    '1.1',
    '\t',
  ];
  patterns.push(
    'eyJ',
    'eyJ-',
    'eyJ.',
    'Bearer ',
    'Basic ',
    '://',
    '://a',
    'token=',
    'token"',
    '-----BEGIN ',
    '\\"',
    '👍',
    '\u0000',
  );
  it.each(patterns)('made of %j is read, and put into messages and logs, without holding up the others', (pattern) => {
    const value = fill(pattern);
    const startedAt = performance.now();
    const { refusals } = judge(annotated(value));
    parseIp(value);
    parseCidr(`${value}/8`);
    parseDuration(value);
    redactText(value);
    captureLog().log.warn({ value, error: new Error(value) }, value);
    expect(performance.now() - startedAt).toBeLessThan(PATIENCE_MS);
    expect(refusals.length).toBeGreaterThan(0);
    for (const { message } of refusals) expect(message.length).toBeLessThan(1_500);
  });

  it('in thousands of parts is refused with messages that fit into a condition', () => {
    const ranges = Array.from({ length: 20_000 }, (_, index) => `10.${index >> 8}.${index & 255}.0/33`);
    const names = Array.from({ length: 5_000 }, (_, index) => [`ballast.dev/unknown-${index}`, 'x'] as const);
    const startedAt = performance.now();
    const { desired, refusals, warnings } = judge({
      metadata: { annotations: Object.fromEntries(names) },
      spec: { loadBalancerSourceRanges: ranges },
    });
    expect(performance.now() - startedAt).toBeLessThan(PATIENCE_MS);
    expect(desired).toBeUndefined();
    expect(refusals[0]).toMatchObject({ code: 'InvalidSourceRange' });
    expect(warnings.length).toBeLessThan(10);
  });

  it('does not make more listeners than the provider allows', () => {
    const ports = Array.from({ length: 2_000 }, (_, index) => servicePort({ port: index + 1, name: `p${index}` }));
    const { desired, refusals } = judge({ spec: { ports } });
    expect(desired?.members[0]?.listeners).toHaveLength(100);
    expect(refusals).toHaveLength(1_900);
  });
});

describe('characters that are no text', () => {
  const hostile =
    'x\u001b]0;title\u0007\u001b[31m\r\n{"level":"fatal"}\u0000\u0085\u009b2J\u2028\u202e\u2066\u200b\ufeff';
  /** What no message may hold: control characters, line ends, marks of direction, invisible ones. */
  const forbidden = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

  it('are shown as what they are in every message', () => {
    const { refusals, warnings } = judge(annotated(hostile));
    expect(refusals.length).toBeGreaterThan(5);
    for (const { message } of [...refusals, ...warnings]) expect(message).not.toMatch(forbidden);
    for (const { field = '' } of refusals) expect(field).not.toMatch(forbidden);
    expect(quoted('\u009b\u202e')).toBe('"\\u009b\\u202e"');
  });

  it('make no second line of the log, and no field', () => {
    const { log, lines, text } = captureLog();
    log.info({ value: hostile, [hostile]: 1 }, hostile);
    expect(text().split('\n')).toHaveLength(2);
    expect(lines[0]).toMatchObject({ level: 'info', value: hostile, msg: hostile });
  });

  it('are not made by cutting a text in the middle of one', () => {
    for (let before = 940; before < 970; before++) {
      const text = cut(`${'x'.repeat(before)}${'👍'.repeat(100)}`);
      expect(text.isWellFormed()).toBe(true);
      expect(text.length).toBeLessThanOrEqual(960);
    }
    expect(quoted('👍'.repeat(60)).isWellFormed()).toBe(true);
  });
});
