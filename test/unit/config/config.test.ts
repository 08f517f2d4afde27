import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig, type LoadedConfig } from '#src/config';
import { CORE_OPTIONS, environmentVariable } from '#src/config/core-options';
import type { ProviderSettings } from '#src/config/settings';
import { BallastError } from '#src/errors';

const PROVIDERS: readonly ProviderSettings[] = [
  {
    name: 'proxy',
    loadBalancerClass: 'ballast.dev/proxy',
    options: [
      { name: 'proxy-addresses', type: 'list', form: 'addresses', meaning: 'The pool.' },
      { name: 'proxy-idle-timeout', type: 'duration', default: '5m', form: 'a duration', meaning: 'Silence.' },
    ],
  },
  { name: 'other', loadBalancerClass: 'ballast.dev/other', options: [] },
];

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ballast-config-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

interface Given {
  readonly flags?: Readonly<Record<string, string | readonly string[]>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly file?: string;
}

async function load({ flags = {}, env = {}, file }: Given): Promise<LoadedConfig> {
  const path = join(folder, 'ballast.yaml');
  if (file !== undefined) await writeFile(path, file);
  return loadConfig({ flags: { ...(file !== undefined && { config: path }), ...flags }, env, providers: PROVIDERS });
}

async function refusal(given: Given): Promise<string> {
  const error = await load(given).then(
    () => new Error('accepted'),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(BallastError);
  expect(error).toMatchObject({ code: 'InvalidConfig' });
  return error instanceof Error ? error.message.replaceAll(folder, '') : '';
}

describe('the configuration', () => {
  it('has sensible defaults and is frozen', async () => {
    const { config } = await load({});
    expect(config).toEqual({
      kubeconfig: undefined,
      context: undefined,
      providers: ['proxy'],
      defaultProvider: undefined,
      extraClasses: new Map(),
      allowedGroups: new Map(),
      addressGrants: [],
      nodeAddresses: [],
      nodePortRange: { min: 30_000, max: 32_767 },
      nodeGuard: { limitPercent: 50, windowMs: 10_000, holdMs: 60_000 },
      workers: 8,
      resyncPeriodMs: 600_000,
      leaderElection: {
        namespace: 'kube-system',
        name: 'ballast-controller',
        leaseDurationMs: 15_000,
        renewDeadlineMs: 10_000,
        retryPeriodMs: 2_000,
      },
      metricsAddress: { host: '127.0.0.1', port: 10_270 },
      metricsTls: undefined,
      metricsAuth: 'none',
      logLevel: 'info',
      shutdownTimeoutMs: 9_000,
      providerOptions: { 'proxy-addresses': undefined, 'proxy-idle-timeout': 300_000 },
    });
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.providerOptions)).toBe(true);
  });

  it('takes a flag before the environment before the file before the default', async () => {
    const file = 'workers: 1\nresync-period: 1m\nlog-level: debug\n';
    const env = { BALLAST_WORKERS: '2', BALLAST_RESYNC_PERIOD: '2m' };
    const { config, effective, originOf } = await load({ flags: { workers: '3' }, env, file });
    expect(config).toMatchObject({ workers: 3, resyncPeriodMs: 120_000, logLevel: 'debug', shutdownTimeoutMs: 9_000 });
    expect(effective['workers']).toEqual({ value: '3', from: 'flag' });
    expect(effective['resync-period']).toEqual({ value: '2m', from: 'environment' });
    expect(effective['log-level']).toEqual({ value: 'debug', from: 'file' });
    expect(effective['shutdown-timeout']).toEqual({ value: '9s', from: 'default' });
    expect(originOf('resync-period')).toBe('BALLAST_RESYNC_PERIOD=2m');
  });

  it('reads lists from repeated flags, from separators and from YAML lists', async () => {
    const flags = { 'proxy-addresses': ['127.0.0.2', '127.0.0.3,127.0.0.4'] };
    const { config } = await load({ flags, file: 'providers: [proxy, other]\n' });
    expect(config.providerOptions['proxy-addresses']).toEqual(['127.0.0.2', '127.0.0.3', '127.0.0.4']);
    expect(config.providers).toEqual(['proxy', 'other']);
  });

  it('reads YAML numbers and booleans', async () => {
    const { config } = await load({ file: 'workers: 7\nleader-elect: false\nmetrics-bind-address: 0\n' });
    expect(config).toMatchObject({ workers: 7, leaderElection: undefined, metricsAddress: undefined });
  });

  it('takes an empty variable and an empty file for nothing', async () => {
    const { config } = await load({ env: { BALLAST_WORKERS: '' }, file: '# nothing yet\n' });
    expect(config.workers).toBe(8);
  });

  it('reads the file that the environment names', async () => {
    const path = join(folder, 'from-env.yaml');
    await writeFile(path, 'workers: 9\n');
    const { config } = await load({ env: { BALLAST_CONFIG: path } });
    expect(config.workers).toBe(9);
  });

  it('reads classes, groups, ranges and addresses', async () => {
    const { config } = await load({
      flags: {
        'load-balancer-class': ['example.com/old=proxy', 'legacy=proxy'],
        'allow-group': 'infra/web=shop,blog;infra/dns=*;infra/web=docs',
        'node-port-range': '20000-20100',
        'metrics-bind-address': '[fd00::1]:8080',
        'default-provider': 'none',
      },
    });
    expect(config.extraClasses).toEqual(
      new Map([
        ['example.com/old', 'proxy'],
        ['legacy', 'proxy'],
      ]),
    );
    expect(config.allowedGroups).toEqual(
      new Map<string, unknown>([
        ['infra/web', ['shop', 'blog', 'docs']],
        ['infra/dns', '*'],
      ]),
    );
    expect(config.nodePortRange).toEqual({ min: 20_000, max: 20_100 });
    expect(config.metricsAddress).toEqual({ host: 'fd00::1', port: 8_080 });
    expect(config.defaultProvider).toBeUndefined();
  });

  it('reads who may ask for which addresses, and where nodes are', async () => {
    const { config } = await load({
      flags: {
        'allow-address': '192.0.2.1=shop, blog; 192.0.2.0/24=*;*=infra',
        'node-addresses': ['10.0.0.0/8,fd00::1-fd00::9', '192.0.2.7'],
      },
    });
    expect(config.addressGrants).toEqual([
      { addresses: { family: 'IPv4', first: 0xc0000201n, last: 0xc0000201n }, namespaces: ['shop', 'blog'] },
      { addresses: { family: 'IPv4', first: 0xc0000200n, last: 0xc00002ffn }, namespaces: '*' },
      { addresses: '*', namespaces: ['infra'] },
    ]);
    expect(config.nodeAddresses.map(({ family, first, last }) => [family, last - first + 1n])).toEqual([
      ['IPv4', 1n << 24n],
      ['IPv6', 9n],
      ['IPv4', 1n],
    ]);
  });

  it('reads how metrics are protected', async () => {
    const tls = { 'metrics-tls-cert-file': '/tls/tls.crt', 'metrics-tls-key-file': '/tls/tls.key' };
    const flags = { ...tls, 'metrics-auth': 'token', 'metrics-bind-address': ':10270' };
    const { config } = await load({ flags });
    expect(config).toMatchObject({
      metricsTls: { certFile: '/tls/tls.crt', keyFile: '/tls/tls.key' },
      metricsAuth: 'token',
    });
    // On this machine, or where nothing is served, no token can be overheard.
    for (const address of ['127.0.0.1:1', '[::1]:1', 'localhost:1', '0']) {
      const plain = await load({ flags: { 'metrics-auth': 'token', 'metrics-bind-address': address } });
      expect(plain.config.metricsTls).toBeUndefined();
    }
  });

  it('takes the default provider that is named, and the last of a repeated flag', async () => {
    const flags = { providers: 'other,proxy', 'default-provider': 'other', workers: ['2', '3'] };
    const { config } = await load({ flags });
    expect(config).toMatchObject({ defaultProvider: 'other', workers: 3 });
  });

  it('accepts the defaults of every option when they are written out', async () => {
    const options = [...CORE_OPTIONS, ...PROVIDERS.flatMap((provider) => provider.options)];
    const written = options.flatMap(({ name, default: text }) => (text === undefined ? [] : [[name, text] as const]));
    const implicit = (await load({})).config;
    expect((await load({ flags: Object.fromEntries(written) })).config).toEqual(implicit);
    const env = Object.fromEntries(written.map(([name, text]) => [environmentVariable(name), text]));
    expect((await load({ env })).config).toEqual(implicit);
    const file = written.map(([name, text]) => `${name}: ${JSON.stringify(text)}\n`).join('');
    expect((await load({ file })).config).toEqual(implicit);
  });
});

describe('a wrong configuration is refused with the place and the remedy', () => {
  const cases: readonly (readonly [string, Given, string])[] = [
    ['a flag', { flags: { workers: 'many' } }, '--workers many must be a whole number from 1 to 100.'],
    ['an empty flag', { flags: { context: '' } }, '--context  must be the name of a context in the kubeconfig.'],
    ['a variable', { env: { BALLAST_WORKERS: '0' } }, 'BALLAST_WORKERS=0 must be a whole number from 1 to 100.'],
    ['a key', { file: 'workers: 101' }, 'workers: 101 in /ballast.yaml must be a whole number from 1 to 100.'],
    ['a duration', { flags: { 'resync-period': '5' } }, '--resync-period 5 must be a duration from 10s to 24h.'],
    [
      'a choice',
      { flags: { 'log-level': 'loud' } },
      '--log-level loud must be one of `debug`, `info`, `warn`, `error`, `silent`.',
    ],
    ['a boolean', { env: { BALLAST_LEADER_ELECT: 'yes' } }, 'BALLAST_LEADER_ELECT=yes must be `true` or `false`.'],
    [
      'a range',
      { flags: { 'node-port-range': '32767-30000' } },
      '--node-port-range 32767-30000 must be `<first>-<last>`',
    ],
    ['an address', { flags: { 'metrics-bind-address': 'web:80' } }, '--metrics-bind-address web:80 must be'],
    ['an address', { flags: { 'metrics-bind-address': '127.0.0.1' } }, '--metrics-bind-address 127.0.0.1 must be'],
    [
      'a provider',
      { flags: { providers: 'proxy,aws' } },
      '--providers proxy,aws names the provider aws, which does not exist; there are: proxy, other.',
    ],
    ['a provider twice', { flags: { providers: 'proxy,proxy' } }, '--providers proxy,proxy names proxy twice.'],
    [
      'a default',
      { flags: { 'default-provider': 'other' } },
      '--default-provider other must be one of --providers (proxy), or none.',
    ],
    [
      'a class for nobody',
      { flags: { 'load-balancer-class': 'a/b=other' } },
      '--load-balancer-class a/b=other names the provider other, which is not one of --providers.',
    ],
    [
      'a class of another',
      { flags: { 'load-balancer-class': 'ballast.dev/other=proxy' } },
      '--load-balancer-class ballast.dev/other=proxy gives away ballast.dev/other, which other has already.',
    ],
    ['a class', { flags: { 'load-balancer-class': 'a b=proxy' } }, '--load-balancer-class a b=proxy must be `<class>='],
    ['a group', { flags: { 'allow-group': 'web=shop' } }, '--allow-group web=shop must be `<namespace>/<group>='],
    ['a grant', { flags: { 'allow-address': '192.0.2.1' } }, '--allow-address 192.0.2.1 must be `<addresses>='],
    ['a grant', { flags: { 'allow-address': '192.0.2.1=' } }, '--allow-address 192.0.2.1= must be `<addresses>='],
    ['a grant', { flags: { 'allow-address': 'all=shop' } }, '--allow-address all=shop must be `<addresses>='],
    ['nodes', { flags: { 'node-addresses': '10.0.0.0/33' } }, '--node-addresses 10.0.0.0/33 must be addresses, ranges'],
    [
      'a certificate alone',
      { flags: { 'metrics-tls-cert-file': 'a' } },
      '--metrics-tls-cert-file a needs --metrics-tls-key-file beside it.',
    ],
    [
      'a key alone',
      { env: { BALLAST_METRICS_TLS_KEY_FILE: 'a' } },
      'BALLAST_METRICS_TLS_KEY_FILE=a needs --metrics-tls-cert-file beside it.',
    ],
    [
      'tokens in the clear',
      { flags: { 'metrics-auth': 'token', 'metrics-bind-address': '10.0.0.5:10270' } },
      '--metrics-auth token would have tokens sent in the clear; set --metrics-tls-cert-file',
    ],
    [
      'tokens in the clear on every address',
      { flags: { 'metrics-auth': 'token', 'metrics-bind-address': ':10270' } },
      '--metrics-auth token would have tokens sent in the clear; set --metrics-tls-cert-file',
    ],
    [
      'times',
      { flags: { 'leader-elect-renew-deadline': '15s' } },
      '--leader-elect-renew-deadline 15s must be shorter than --leader-elect-lease-duration.',
    ],
    [
      'times against a default',
      { flags: { 'leader-elect-lease-duration': '9s' } },
      'the default of --leader-elect-renew-deadline, 10s, must be shorter than --leader-elect-lease-duration.',
    ],
    [
      'times with jitter',
      { flags: { 'leader-elect-retry-period': '9s' } },
      '--leader-elect-retry-period 9s times 1.2 must be shorter than --leader-elect-renew-deadline.',
    ],
    [
      'parts of a second',
      { flags: { 'leader-elect-lease-duration': '15500ms' } },
      'must be a duration of whole seconds from 1s to 1h.',
    ],
    [
      'an unknown variable',
      { env: { BALLAST_WORKER: '2' } },
      'The environment variable BALLAST_WORKER means nothing; did you mean BALLAST_WORKERS?',
    ],
    ['a strange variable', { env: { BALLAST_XYZZY: '2' } }, 'The environment variable BALLAST_XYZZY means nothing.'],
    [
      'an unknown key',
      { file: 'leaderElekt: true' },
      'The key leaderElekt in /ballast.yaml means nothing; did you mean leader-elect?',
    ],
    ['the file in itself', { file: 'config: other.yaml' }, 'The key config in /ballast.yaml means nothing'],
    ['a key without value', { file: 'workers:' }, 'The key workers in /ballast.yaml must have a text, a number'],
    ['a map', { file: 'workers: {a: 1}' }, 'The key workers in /ballast.yaml must have a text, a number'],
    ['a list as file', { file: '- workers' }, '/ballast.yaml must hold lines of the form'],
    [
      'a tag that nobody knows',
      { file: 'workers: !!int many' },
      '/ballast.yaml is no YAML: Unresolved tag: tag:yaml.org,2002:int at line 1, column 10.',
    ],
    ['no YAML', { file: 'workers: 1\n  x: [' }, '/ballast.yaml is no YAML: '],
    ['a key twice', { file: 'workers: 1\nworkers: 2' }, 'at line 2'],
    [
      'a missing file',
      { flags: { config: '/nowhere/b.yaml' } },
      '--config names a file that cannot be read: ENOENT: no such file',
    ],
    [
      'a missing file',
      { env: { BALLAST_CONFIG: '/nowhere/b.yaml' } },
      'BALLAST_CONFIG names a file that cannot be read',
    ],
  ];
  for (const [what, given, message] of cases) {
    it(`${what}: ${message}`, async () => {
      expect(await refusal(given)).toContain(message);
    });
  }

  it('tells everything at once', async () => {
    const message = await refusal({
      flags: { workers: 'x' },
      env: { BALLAST_WORKER: '1' },
      file: 'log-levle: info\nresync-period: 1s',
    });
    expect(message.split('\n')).toEqual([
      'The environment variable BALLAST_WORKER means nothing; did you mean BALLAST_WORKERS?',
      'The key log-levle in /ballast.yaml means nothing; did you mean log-level?',
      '--workers x must be a whole number from 1 to 100.',
      'resync-period: 1s in /ballast.yaml must be a duration from 10s to 24h.',
    ]);
  });
});

describe('variables that others set', () => {
  it('do no harm: what kubelet sets for Services named ballast…', async () => {
    const env = {
      BALLAST_SERVICE_HOST: '10.96.0.7',
      BALLAST_SERVICE_PORT: '80',
      BALLAST_SERVICE_PORT_METRICS: '80',
      BALLAST_PORT: 'tcp://10.96.0.7:80',
      BALLAST_METRICS_PORT_80_TCP: 'tcp://10.96.0.7:80',
      BALLAST_METRICS_PORT_80_TCP_ADDR: '10.96.0.7',
      BALLAST_METRICS_SERVICE_HOST: '10.96.0.7',
    };
    expect((await load({ env })).config.workers).toBe(8);
  });

  it('do no harm: the tools of the repository', async () => {
    expect((await load({ env: { BALLAST_CACHE: '/cache', BALLAST_LAB_ROOT: '/lab' } })).config.workers).toBe(8);
  });
});
