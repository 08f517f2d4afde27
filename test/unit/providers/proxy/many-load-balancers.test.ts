import { describe, expect, it } from 'vitest';
import { setTargets } from '#providers/proxy/steps';
import { nodesChange, usableNodes, type ObservedTargets, type Targets } from '#providers/proxy/targets';
import { manyNodes, serviceId } from '#test/fakes/builders';

function targets(count: number): Targets {
  return { policy: 'Cluster', healthCheckNodePort: undefined, nodes: manyNodes(count), endpointNodes: undefined };
}

/** As load balancers of the same policy see it: the lists are shared. */
function seen(of: Targets): ObservedTargets {
  const usable = usableNodes(of);
  return {
    member: 'uid',
    policy: of.policy,
    healthCheckNodePort: undefined,
    nodesVersion: of.nodes.version,
    endpointNodes: undefined,
    usable: usable.map(({ name }) => name),
    usableAddresses: usable.map(({ addresses }) => addresses),
    health: 'healthy',
  };
}

describe('many load balancers over the same nodes', () => {
  it('share what follows from a change of the nodes, instead of each comparing them all', () => {
    const before = seen(targets(30));
    const after = targets(32);
    const change = nodesChange(before, after);
    expect(change).toMatchObject({ added: ['node-31', 'node-32'], removed: [], moved: [] });
    expect(nodesChange({ ...before, member: 'other' }, { ...after })).toBe(change);
    expect(usableNodes({ ...after })).toBe(usableNodes(after));
  });

  it('are each told what changes for them', () => {
    const steps = ['a', 'b'].map((name) =>
      setTargets(serviceId(name), { uid: 'uid', name: `default/${name}` }, targets(2), seen(targets(1))),
    );
    expect(steps.map(({ summary }) => summary)).toEqual([
      'Send traffic of default/a to 2 nodes (add node-2)',
      'Send traffic of default/b to 2 nodes (add node-2)',
    ]);
  });
});
