/** The one schema of the configuration: from what was written, by option name, to checked values. */
import { z } from 'zod';
import { parseDuration, type OptionSpec, type OptionValue } from '../loadbalancer/options.ts';
import { LOG_LEVELS } from '../telemetry/log.ts';
import { checkMetrics, checkProviders, checkTimes } from './checks.ts';
import type { Raw } from './sources.ts';
import { METRICS_AUTH, type Config, type LeaderElectionSettings, type ProviderSettings } from './settings.ts';
import {
  isLabel,
  isSubdomain,
  parseAddresses,
  parseAddressGrant,
  parseBindAddress,
  parseClass,
  parseGroupRule,
  parsePortRange,
} from './values.ts';

/** An issue with this message means: the value is not what the option's `form` says. */
export const WRONG_FORM = 'form';

/** How one option is written. */
function writtenSchema(option: OptionSpec): z.ZodType<OptionValue, Raw> {
  return z.custom<Raw>().transform((raw, context) => {
    const value = readValue(option, raw);
    if (value !== undefined) return value;
    context.addIssue({ code: 'custom', message: WRONG_FORM });
    return z.NEVER;
  });
}

/** The value as its type says; undefined when it is not of the option's form. */
export function readValue(option: OptionSpec, raw: Raw): OptionValue | undefined {
  if (option.type === 'list') return readList(option, raw);
  // A flag given twice arrives as a list; the last one counts, as everywhere.
  const text = (typeof raw === 'string' ? raw : (raw.at(-1) ?? '')).trim();
  switch (option.type) {
    case 'text':
      return text !== '' && (option.choices?.includes(text) ?? true) ? text : undefined;
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : undefined;
    case 'integer':
      return within(option, /^\d{1,15}$/.test(text) ? Number(text) : undefined);
    default:
      return within(option, parseDuration(text));
  }
}

function readList({ separator = ',', choices }: OptionSpec, raw: Raw): readonly string[] | undefined {
  const texts = typeof raw === 'string' ? [raw] : raw;
  const entries = texts.flatMap((text) => text.split(separator)).map((entry) => entry.trim());
  return entries.every((entry) => entry !== '' && (choices?.includes(entry) ?? true)) ? entries : undefined;
}

function within({ least = 0, most = Infinity }: OptionSpec, value: number | undefined): number | undefined {
  return value !== undefined && value >= least && value <= most ? value : undefined;
}

const OPTION_VALUE = z.union([z.string(), z.boolean(), z.number(), z.array(z.string())]).optional();

/** What the core's values mean, beyond the way they are written. */
const MEANINGS = z
  .object({
    kubeconfig: z.string().optional(),
    context: z.string().optional(),
    providers: z.array(z.string()),
    'default-provider': z.string(),
    'load-balancer-class': z.array(read(parseClass)).default([]),
    'allow-group': z.array(read(parseGroupRule)).default([]),
    'allow-address': z.array(read(parseAddressGrant)).default([]),
    'node-addresses': z.array(read(parseAddresses)).default([]),
    'node-port-range': read(parsePortRange),
    'node-loss-limit': z.number(),
    'node-loss-window': z.number(),
    'node-loss-hold': z.number(),
    workers: z.number(),
    'resync-period': z.number(),
    'leader-elect': z.boolean(),
    'leader-elect-namespace': z.string().refine(isLabel, WRONG_FORM),
    'leader-elect-name': z.string().refine(isSubdomain, WRONG_FORM),
    'leader-elect-lease-duration': z.number().refine((milliseconds) => milliseconds % 1_000 === 0, WRONG_FORM),
    'leader-elect-renew-deadline': z.number(),
    'leader-elect-retry-period': z.number(),
    'metrics-bind-address': read(parseBindAddress),
    'metrics-tls-cert-file': z.string().optional(),
    'metrics-tls-key-file': z.string().optional(),
    'metrics-auth': z.enum(METRICS_AUTH),
    'log-level': z.enum(LOG_LEVELS),
    'shutdown-timeout': z.number(),
  })
  .catchall(OPTION_VALUE);

type Meanings = z.infer<typeof MEANINGS>;

function read<T>(parse: (text: string) => T | undefined): z.ZodType<T, string> {
  return z.string().transform((text, context) => {
    const value = parse(text);
    if (value !== undefined) return value;
    context.addIssue({ code: 'custom', message: WRONG_FORM });
    return z.NEVER;
  });
}

/** The schema for these options; its issues have the option's name as first element of their path. */
export function configSchema(
  options: readonly OptionSpec[],
  available: readonly ProviderSettings[],
): z.ZodType<Config> {
  const written = z.strictObject(
    Object.fromEntries(options.map((option) => [option.name, writtenSchema(option).optional()])),
  );
  return z.preprocess(
    (input, context) => {
      const result = written.safeParse(input);
      if (result.success) return result.data;
      for (const issue of result.error.issues) context.issues.push({ ...issue, code: 'custom', input });
      return z.NEVER;
    },
    MEANINGS.superRefine((values, context) => {
      for (const { option, message } of [
        ...checkProviders(values, available),
        ...checkTimes(values),
        ...checkMetrics(values),
      ]) {
        context.addIssue({ code: 'custom', path: [option], message });
      }
    }).transform((values) => assemble(values, available)),
  );
}

function assemble(values: Meanings, available: readonly ProviderSettings[]): Config {
  const own = available.flatMap(({ options }) => options.map(({ name }) => name));
  const fallback = values['default-provider'];
  const address = values['metrics-bind-address'];
  const { 'metrics-tls-cert-file': certFile, 'metrics-tls-key-file': keyFile } = values;
  return Object.freeze<Config>({
    kubeconfig: values.kubeconfig,
    context: values.context,
    providers: Object.freeze(values.providers),
    defaultProvider: fallback === 'none' ? undefined : fallback,
    extraClasses: new Map(values['load-balancer-class'].map(({ className, provider }) => [className, provider])),
    allowedGroups: groupRules(values['allow-group']),
    addressGrants: Object.freeze(values['allow-address']),
    nodeAddresses: Object.freeze(values['node-addresses']),
    nodePortRange: Object.freeze(values['node-port-range']),
    nodeGuard: Object.freeze({
      limitPercent: values['node-loss-limit'],
      windowMs: values['node-loss-window'],
      holdMs: values['node-loss-hold'],
    }),
    workers: values.workers,
    resyncPeriodMs: values['resync-period'],
    leaderElection: values['leader-elect'] ? leaderElection(values) : undefined,
    metricsAddress: address === 'none' ? undefined : Object.freeze(address),
    metricsTls: certFile && keyFile ? Object.freeze({ certFile, keyFile }) : undefined,
    metricsAuth: values['metrics-auth'],
    logLevel: values['log-level'],
    shutdownTimeoutMs: values['shutdown-timeout'],
    providerOptions: Object.freeze(Object.fromEntries(own.map((name) => [name, OPTION_VALUE.parse(values[name])]))),
  });
}

function leaderElection(values: Meanings): LeaderElectionSettings {
  return Object.freeze<LeaderElectionSettings>({
    namespace: values['leader-elect-namespace'],
    name: values['leader-elect-name'],
    leaseDurationMs: values['leader-elect-lease-duration'],
    renewDeadlineMs: values['leader-elect-renew-deadline'],
    retryPeriodMs: values['leader-elect-retry-period'],
  });
}

/** Who may join each group; two rules for one group add up. */
function groupRules(rules: Meanings['allow-group']): Config['allowedGroups'] {
  const groups = new Map<string, readonly string[] | '*'>();
  for (const { group, namespaces } of rules) {
    const before = groups.get(group) ?? [];
    groups.set(group, before === '*' || namespaces === '*' ? '*' : [...before, ...namespaces]);
  }
  return groups;
}
