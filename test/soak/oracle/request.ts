/**
 * Reads from a Service what it asks of Ballast, by the words of `docs/reference.md` ("Annotations of a Service",
 * "Providers"). Written for the soak alone: it shares no code with what it judges.
 */
import { SocketAddress, isIP } from 'node:net';
import type { Service } from '#src/kube/wire';
import { CLASSES, OPEN_GROUP } from '../site.ts';

const PREFIX = 'ballast.dev/';
const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const LONGEST_LABEL = 63;

export type Family = 'IPv4' | 'IPv6';

export type Fault = 'InvalidAnnotation' | 'GroupNotAllowed' | 'AddressNotAllowed';

/** `--allow-address`: whether Services of the namespace may ask for the address. */
export type Grants = (namespace: string, address: string) => boolean;

export type ProviderName = 'proxy' | 'cloud';

export const PROVIDERS: readonly ProviderName[] = ['proxy', 'cloud'];

export interface Request {
  /** `namespace/name`. */
  readonly name: string;
  readonly provider: ProviderName;
  readonly service: Service;
  /** Which load balancer it asks for: `service/<namespace>/<name>` or `group/<namespace>/<name>`. */
  readonly key: string;
  /** The group that it names makes no sense: it stays where it is, and has no load balancer to share otherwise. */
  readonly isStray: boolean;
  /** The first is primary. */
  readonly families: readonly { readonly family: Family; readonly required: boolean }[];
  /** Those that a proxy for TCP and UDP can carry. */
  readonly ports: readonly RequestedPort[];
  /** `80/SCTP`: those that it cannot. */
  readonly unsupported: readonly string[];
  readonly addresses: readonly string[];
  /** Error codes for which the whole Service is refused. */
  readonly faults: readonly Fault[];
  /** Annotations under our prefix that nobody knows. */
  readonly unknown: readonly string[];
}

export interface RequestedPort {
  /** `80/TCP`. */
  readonly key: string;
  readonly port: number;
  readonly protocol: 'TCP' | 'UDP';
  readonly nodePort: number;
}

/** `namespace/name`. */
export function nameOf({ metadata }: Service): string {
  return `${metadata.namespace}/${metadata.name}`;
}

/** Whether Ballast is to give the Service a load balancer. The soak runs it as the default for those without a class. */
export function isOurs({ spec }: Service): boolean {
  const { type, loadBalancerClass, clusterIP } = spec ?? {};
  const classes = [CLASSES.own, CLASSES.moved, CLASSES.cloud, undefined];
  return type === 'LoadBalancer' && clusterIP !== 'None' && classes.includes(loadBalancerClass);
}

export function requestOf(service: Service, mayAskFor: Grants): Request {
  const name = nameOf(service);
  const { families, required } = familiesOf(service);
  const ports = service.spec?.ports ?? [];
  const group = groupOf(service);
  const addresses = addressesOf(service, families);
  const settings = settingFaults(service);
  const { namespace = '' } = service.metadata;
  const isForbidden = addresses?.some((address) => !mayAskFor(namespace, address)) ?? false;
  return {
    name,
    provider: service.spec?.loadBalancerClass === CLASSES.cloud ? 'cloud' : 'proxy',
    service,
    key: group.key ?? `service/${name}`,
    isStray: group.fault !== undefined,
    families: families.map((family, index) => ({ family, required: index === 0 || required })),
    ports: ports.flatMap(({ port, protocol = 'TCP', nodePort = 0 }) =>
      protocol === 'TCP' || protocol === 'UDP' ? { key: `${port}/${protocol}`, port, protocol, nodePort } : [],
    ),
    unsupported: ports.flatMap(({ port, protocol }) => (protocol === 'SCTP' ? `${port}/${protocol}` : [])),
    addresses: addresses ?? [],
    faults: [
      ...(group.fault ? [group.fault] : []),
      ...(addresses ? [] : (['InvalidAnnotation'] as const)),
      ...(isForbidden ? (['AddressNotAllowed'] as const) : []),
      ...settings,
    ],
    unknown: unknownAnnotations(service),
  };
}

function annotation({ metadata }: Service, key: string): string | undefined {
  return metadata.annotations?.[`${PREFIX}${key}`];
}

function familiesOf({ spec }: Service): { readonly families: readonly Family[]; readonly required: boolean } {
  const families = (spec?.ipFamilies ?? []).flatMap((text): Family[] =>
    text === 'IPv4' || text === 'IPv6' ? [text] : [],
  );
  return { families, required: spec?.ipFamilyPolicy === 'RequireDualStack' };
}

interface Group {
  /** Undefined for the Service's own load balancer. */
  readonly key?: string;
  readonly fault?: Fault;
}

function groupOf(service: Service): Group {
  const value = annotation(service, 'load-balancer');
  if (value === undefined) return {};
  const own = service.metadata.namespace ?? '';
  const parts = value.split('/');
  if (parts.length > 2 || parts.some((part) => !LABEL.test(part) || part.length > LONGEST_LABEL)) {
    return { fault: 'InvalidAnnotation' };
  }
  const [name = '', namespace = own] = parts.toReversed();
  const isOpen = namespace === OPEN_GROUP.namespace && name === OPEN_GROUP.name && own === OPEN_GROUP.guests;
  if (namespace !== own && !isOpen) return { fault: 'GroupNotAllowed' };
  return { key: `group/${namespace}/${name}` };
}

/** The addresses it asks for in their one form; undefined when the request makes no sense. */
function addressesOf(service: Service, families: readonly Family[]): readonly string[] | undefined {
  const parts = (annotation(service, 'addresses') ?? '').split(',').map((part) => part.trim());
  if (parts.length === 1 && parts[0] === '') return [];
  if (parts.some((part) => isIP(part) === 0)) return undefined;
  const addresses = [...new Set(parts.map(canonical))];
  const asked = addresses.map(familyOf);
  const makesSense = new Set(asked).size === asked.length && asked.every((family) => families.includes(family));
  return makesSense ? addresses : undefined;
}

export function familyOf(address: string): Family {
  return isIP(address) === 6 ? 'IPv6' : 'IPv4';
}

function canonical(address: string): string {
  return new SocketAddress({ address, family: familyOf(address) === 'IPv6' ? 'ipv6' : 'ipv4' }).address;
}

/** The table "Settings": which values an annotation may have. */
const SETTINGS: Readonly<Record<string, (value: string) => boolean>> = {
  algorithm: (value) => value === 'round-robin' || value === 'least-connections',
  'proxy-protocol': (value) => value === 'v2',
  'idle-timeout': (value) => isWholeNumber(value, 1, 86_400),
  'max-connections': (value) => isWholeNumber(value, 1, 1_000_000),
  'drain-timeout': (value) => isWholeNumber(value, 0, 3_600),
};

function settingFaults(service: Service): readonly 'InvalidAnnotation'[] {
  return Object.entries(SETTINGS).flatMap(([key, accepts]) => {
    const value = annotation(service, key);
    return value === undefined || accepts(value.trim()) ? [] : ['InvalidAnnotation' as const];
  });
}

function isWholeNumber(value: string, least: number, most: number): boolean {
  return /^\d+$/.test(value) && Number(value) >= least && Number(value) <= most;
}

function unknownAnnotations({ metadata }: Service): readonly string[] {
  const known = new Set(['load-balancer', 'addresses', ...Object.keys(SETTINGS)].map((key) => `${PREFIX}${key}`));
  return Object.keys(metadata.annotations ?? {}).filter((key) => key.startsWith(PREFIX) && !known.has(key));
}
