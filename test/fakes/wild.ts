/**
 * fast-check arbitraries for objects as an API server should not give them but might: of an older or a newer version,
 * after a conversion gone wrong, or written around its validation. Fields are missing or null, lists are null or hold
 * empty objects, texts are odd and numbers huge. Names, namespaces and UIDs are what they are everywhere.
 */
import * as fc from 'fast-check';
import type { EndpointSlice, Node, Service } from '#src/kube/wire';
import { serviceArbitrary } from './arbitraries.ts';
import { endpointSlice, node } from './builders.ts';

const ODD_TEXTS = [
  '',
  ' ',
  'null',
  'None',
  '__proto__',
  'constructor',
  '0',
  '-1',
  '1e9',
  'TCP',
  'LoadBalancer',
  'Local',
  'IPv6',
  'RequireDualStack',
  'ClientIP',
  '10.0.0.1',
  '10.0.0.256',
  '::1%lo',
  '::ffff:10.0.0.1',
  '10.0.0.0/33',
  '::/0',
  'a/b/c',
  '\u0000',
  '\ud800',
  'ä'.repeat(300),
  ','.repeat(1_000),
];

const oddText: fc.Arbitrary<string> = fc.oneof(fc.constantFrom(...ODD_TEXTS), fc.string({ unit: 'binary' }));

const ODD_NUMBERS = [0, -1, 0.5, 65_536, 2 ** 31, 2 ** 53, -(2 ** 63), 1e300, Number.MAX_VALUE, Infinity, NaN];

const oddNumber: fc.Arbitrary<number> = fc.oneof(fc.constantFrom(...ODD_NUMBERS), fc.integer(), fc.double());

/** What may stand where a value of this kind should. */
function oddities(value: unknown): fc.Arbitrary<unknown> {
  const nothing = fc.constantFrom(undefined, null);
  if (value === null || (Array.isArray(value) && value.length === 0)) return nothing;
  if (typeof value === 'string') return fc.oneof(nothing, oddText);
  if (typeof value === 'number') return fc.oneof(nothing, oddNumber);
  if (typeof value === 'boolean') return fc.oneof(nothing, fc.boolean());
  if (Array.isArray(value)) {
    // A list in Go cannot hold null, but the zero value of what it holds.
    const zero = typeof value[0] === 'string' ? '' : {};
    return fc.constantFrom<unknown>(undefined, null, [], [...value, zero], [zero], [...value, ...value]);
  }
  return fc.constantFrom<unknown>(undefined, null, {});
}

type Path = readonly (string | number)[];

const KEPT: ReadonlySet<string> = new Set([
  'metadata',
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
  'metadata.resourceVersion',
]);

/** The places of everything in a value but what has to stay. */
function placesOf(value: unknown, path: Path = []): readonly Path[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, part]) => {
    const own = [...path, Array.isArray(value) ? Number(key) : key];
    const inner = placesOf(part, own);
    return KEPT.has(own.join('.')) || typeof own.at(-1) === 'number' ? inner : [own, ...inner];
  });
}

function valueAt(value: unknown, [key, ...rest]: Path): unknown {
  if (key === undefined || typeof value !== 'object' || value === null) return value;
  return valueAt(Object.entries(value).find(([name]) => name === String(key))?.[1], rest);
}

/** A copy with another value at the place; undefined removes it. */
function replaced(value: unknown, [key, ...rest]: Path, replacement: unknown): unknown {
  if (key === undefined) return replacement;
  if (Array.isArray(value)) {
    return value.map((part: unknown, index) => (index === key ? replaced(part, rest, replacement) : part));
  }
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, part]) => {
      if (name !== key) return [[name, part]];
      const changed = replaced(part, rest, replacement);
      return changed === undefined ? [] : [[name, changed]];
    }),
  );
}

/** The object with up to five places broken. Its type says what the fields should be; that they are not is the point. */
function broken<T extends object>(whole: fc.Arbitrary<T>): fc.Arbitrary<T> {
  const step = (value: unknown, left: number): fc.Arbitrary<unknown> => {
    const places = placesOf(value);
    if (left === 0 || places.length === 0) return fc.constant(value);
    return fc
      .constantFrom(...places)
      .chain((place) => oddities(valueAt(value, place)).map((odd) => replaced(value, place, odd)))
      .chain((next) => step(next, left - 1));
  };
  return fc
    .tuple(whole, fc.nat(5))
    .chain(([value, count]) => step(value, count))
    .map((value) => JSON.parse(JSON.stringify(value)));
}

/** A Service named `name` in `default`, with annotations of ours and conditions and addresses in its status. */
export function wildService(name: string): fc.Arbitrary<Service> {
  const extra = fc.record(
    {
      'ballast.dev/idle-timeout': oddText,
      'ballast.dev/max-connections': oddText,
      'ballast.dev/addresses': oddText,
      'ballast.dev/load-balancer': oddText,
      'service.beta.kubernetes.io/load-balancer-source-ranges': oddText,
    },
    { requiredKeys: [] },
  );
  const status = fc.constantFrom(
    { loadBalancer: {} },
    {
      loadBalancer: {
        ingress: [
          { ip: '192.0.2.1', ipMode: 'Proxy', ports: [{ port: 80, protocol: 'TCP', error: 'ballast.dev/X' }] },
          { hostname: 'h' },
        ],
      },
      conditions: [
        {
          type: 'ballast.dev/Programmed',
          status: 'True',
          reason: 'Programmed',
          message: 'Serves 80/TCP at 192.0.2.1.',
          lastTransitionTime: '2026-01-01T00:00:00Z',
        },
      ],
    },
  );
  const served = fc.constantFrom([], ['ballast.dev/proxy', 'example.com/x']);
  return broken(
    fc
      .tuple(serviceArbitrary(name), extra, status, served, fc.nat(2))
      .map(([each, annotations, state, finalizers, second]) => ({
        ...each,
        metadata: {
          ...each.metadata,
          annotations: { ...each.metadata.annotations, ...annotations },
          finalizers,
          creationTimestamp: `2026-01-01T00:00:0${second}Z`,
        },
        status: state,
      })),
  );
}

export function wildNode(name: string): fc.Arbitrary<Node> {
  const options = fc.record({
    addresses: fc.constantFrom(['10.0.0.1'], ['10.0.0.1', 'fd00::1'], ['fd00::1'], []),
    taints: fc.constantFrom([], [{ key: 'ToBeDeletedByClusterAutoscaler', effect: 'NoSchedule' }]),
    labels: fc.constantFrom({}, { 'node.kubernetes.io/exclude-from-external-load-balancers': '' }),
    ready: fc.boolean(),
  });
  return broken(
    options.map(({ labels, ...rest }) => node({ metadata: { name, labels }, providerId: 'x://y', ...rest })),
  );
}

/** A slice of the Service `owner`, with endpoints on some of these nodes. */
export function wildSlice(name: string, owner: string, nodes: readonly string[]): fc.Arbitrary<EndpointSlice> {
  const endpoints = fc.array(
    fc.record({
      nodeName: fc.constantFrom(...nodes),
      address: fc.constantFrom('10.244.1.1', '10.244.1.2'),
      ready: fc.boolean(),
      serving: fc.boolean(),
      terminating: fc.boolean(),
    }),
    { maxLength: 3 },
  );
  return broken(endpoints.map((each) => endpointSlice({ metadata: { name }, service: owner, endpoints: each })));
}
