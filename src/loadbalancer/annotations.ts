/**
 * Every annotation that Ballast reads, in one table: parser, validation and the reference page come from it.
 */
import type { MemberSettings } from './model.ts';

export const PREFIX = 'ballast.dev/';

/** Groups Services on one load balancer: `<name>`, or `<namespace>/<name>` where the configuration allows it. */
export const LOAD_BALANCER_ANNOTATION = 'ballast.dev/load-balancer';
/** Asks for addresses: one, or one of each family, separated by commas. */
export const ADDRESSES_ANNOTATION = 'ballast.dev/addresses';
/** Kubernetes' own: CIDRs separated by commas, read when `spec.loadBalancerSourceRanges` is empty. */
export const SOURCE_RANGES_ANNOTATION = 'service.beta.kubernetes.io/load-balancer-source-ranges';

export type SettingName = keyof MemberSettings;

interface Setting {
  readonly annotation: string;
  /** What a value looks like, for messages and the reference page. */
  readonly form: string;
  readonly meaning: string;
}

/** The annotations that become a member's settings. */
export const SETTINGS: Readonly<Record<SettingName, Setting>> = {
  algorithm: {
    annotation: 'ballast.dev/algorithm',
    form: '`round-robin` or `least-connections`',
    meaning: 'How the next target is chosen. `round-robin` by default.',
  },
  proxyProtocol: {
    annotation: 'ballast.dev/proxy-protocol',
    form: '`v2`',
    meaning: 'Sends a PROXY protocol v2 header to TCP targets, so that they see the client’s address. Off by default.',
  },
  idleTimeoutSeconds: {
    annotation: 'ballast.dev/idle-timeout',
    form: 'whole seconds, 1 to 86400',
    meaning: 'How long a connection or a UDP session may stay silent.',
  },
  maxConnections: {
    annotation: 'ballast.dev/max-connections',
    form: 'a whole number, 1 to 1000000',
    meaning: 'Connections (or UDP sessions) at once, for each port of the Service; more connections wait, unread.',
  },
  drainTimeoutSeconds: {
    annotation: 'ballast.dev/drain-timeout',
    form: 'whole seconds, 0 to 3600',
    meaning: 'How long open connections may go on when their node or their port goes away.',
  },
};

/** Every annotation under our prefix; another key under it is a mistake. */
export const KNOWN_ANNOTATIONS: readonly string[] = [
  LOAD_BALANCER_ANNOTATION,
  ADDRESSES_ANNOTATION,
  ...Object.values(SETTINGS).map(({ annotation }) => annotation),
];

/** The setting that an annotation's value gives; undefined where it makes no sense. */
export const SETTING_PARSERS: Readonly<Record<SettingName, (text: string) => MemberSettings | undefined>> = {
  algorithm: (text) => (text === 'round-robin' || text === 'least-connections' ? { algorithm: text } : undefined),
  proxyProtocol: (text) => (text === 'v2' ? { proxyProtocol: text } : undefined),
  idleTimeoutSeconds: (text) => {
    const idleTimeoutSeconds = wholeNumber(text, 1, 86_400);
    return idleTimeoutSeconds === undefined ? undefined : { idleTimeoutSeconds };
  },
  maxConnections: (text) => {
    const maxConnections = wholeNumber(text, 1, 1_000_000);
    return maxConnections === undefined ? undefined : { maxConnections };
  },
  drainTimeoutSeconds: (text) => {
    const drainTimeoutSeconds = wholeNumber(text, 0, 3_600);
    return drainTimeoutSeconds === undefined ? undefined : { drainTimeoutSeconds };
  },
};

function wholeNumber(text: string, least: number, most: number): number | undefined {
  if (!/^\d{1,9}$/.test(text)) return undefined;
  const value = Number(text);
  return value >= least && value <= most ? value : undefined;
}
