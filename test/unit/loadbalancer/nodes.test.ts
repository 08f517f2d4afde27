import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { node, type NodeOptions } from '#test/fakes/builders';
import { EXCLUDE_LABEL, buildNodeSet, eligibleNodes, leftOutNodes, nodeTarget } from '#src/loadbalancer/nodes';

const labelled = (value: string): NodeOptions => ({ metadata: { labels: { [EXCLUDE_LABEL]: value } } });

describe('eligibleNodes', () => {
  const included: readonly [string, NodeOptions][] = [
    ['a plain node', {}],
    ['one that is not ready', { ready: false }],
    ['one that is cordoned', { taints: [{ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }] }],
    ['one without a provider id', {}],
    ['a control-plane node', { metadata: { labels: { 'node-role.kubernetes.io/control-plane': '' } } }],
    ...['0', 'f', 'F', 'false', 'FALSE', 'False'].map((value): [string, NodeOptions] => [
      `the label ${value}`,
      labelled(value),
    ]),
  ];
  it.each(included)('takes %s', (_, options) => {
    expect(eligibleNodes([node(options)])).toHaveLength(1);
  });

  const excluded: readonly [string, NodeOptions][] = [
    ['one that is being deleted', { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } }],
    ['one that the autoscaler removes', { taints: [{ key: 'ToBeDeletedByClusterAutoscaler', effect: 'NoSchedule' }] }],
    ...['', '1', 't', 'true', 'True', 'no', 'fAlse', ' false'].map((value): [string, NodeOptions] => [
      `the label ${JSON.stringify(value)}`,
      labelled(value),
    ]),
  ];
  it.each(excluded)('leaves out %s', (_, options) => {
    expect(eligibleNodes([node(options)])).toEqual([]);
    expect(nodeTarget(node(options))).toBeUndefined();
    expect(leftOutNodes([node(options)])).toHaveLength(1);
  });
});

describe('buildNodeSet', () => {
  it('gives name, addresses, provider id and zone, in the order of names', () => {
    const b = node({
      metadata: { name: 'b', labels: { 'topology.kubernetes.io/zone': 'z1' } },
      providerId: 'aws:///i-1',
    });
    const a = node({ metadata: { name: 'a' }, addresses: ['10.0.0.2', '10.0.0.3', '2001:DB8::2'] });
    expect(buildNodeSet([b, a]).nodes).toEqual([
      { name: 'a', addresses: { IPv4: '10.0.0.2', IPv6: '2001:db8::2' }, providerId: undefined, zone: undefined },
      { name: 'b', addresses: { IPv4: '10.0.0.1' }, providerId: 'aws:///i-1', zone: 'z1' },
    ]);
  });

  it('leaves nodes without an InternalIP out and says so', () => {
    const nodes = [node({ addresses: [] }), node({ metadata: { name: 'node-2' }, addresses: ['not an address'] })];
    expect(buildNodeSet(nodes).nodes).toEqual([]);
    expect(leftOutNodes(nodes)).toEqual([
      { name: 'node-1', why: 'it has no InternalIP' },
      { name: 'node-2', why: 'it has no InternalIP' },
    ]);
  });

  it('has a version that is the same whatever the order, and for what does not matter', () => {
    const nodes = [1, 2, 3].map((number) => node({ metadata: { name: `node-${number}` } }));
    const { version } = buildNodeSet(nodes);
    expect(buildNodeSet(nodes.toReversed()).version).toBe(version);
    const restless = nodes.map((each) => ({ ...each, metadata: { ...each.metadata, resourceVersion: '99' } }));
    expect(buildNodeSet(restless).version).toBe(version);
    expect(buildNodeSet(nodes.map((each) => ({ ...each, status: { ...each.status, conditions: [] } }))).version).toBe(
      version,
    );
  });

  it('has another version for any other contents', () => {
    const target = fc.record({
      name: fc.constantFrom('a', 'b', 'c'),
      address: fc.constantFrom('10.0.0.1', '10.0.0.2', '2001:db8::1'),
      zone: fc.constantFrom('x', 'y'),
    });
    const nodes = fc
      .uniqueArray(target, { selector: ({ name }) => name })
      .map((targets) =>
        targets.map(({ name, address, zone }) =>
          node({ metadata: { name, labels: { 'topology.kubernetes.io/zone': zone } }, addresses: [address] }),
        ),
      );
    fc.assert(
      fc.property(nodes, nodes, (one, other) => {
        const [a, b] = [buildNodeSet(one), buildNodeSet(other)];
        expect(a.version === b.version).toBe(JSON.stringify(a.nodes) === JSON.stringify(b.nodes));
      }),
    );
  });
});
