import { beforeEach, describe, expect, it } from 'vitest';
import { Cloud, CloudRefusal } from '#test/chaos/cloud';

const OWNER = 'service/default/web';

let cloud: Cloud;
beforeEach(() => {
  cloud = new Cloud(['192.0.2.1', '192.0.2.2', '2001:db8::1']);
});

function createBalancer(owner = OWNER, address = '192.0.2.1'): string {
  return cloud.actions.createBalancer({ owner, members: ['uid'], addresses: [address] });
}

function createTargetGroup(): string {
  return cloud.actions.createTargetGroup({
    owner: OWNER,
    member: 'uid',
    port: 80,
    protocol: 'TCP',
    families: ['IPv4'],
    config: '',
  });
}

/** A load balancer with the listener 80/TCP. */
function createAll(): { readonly balancer: string; readonly targetGroup: string; readonly listener: string } {
  const [balancer, targetGroup] = [createBalancer(), createTargetGroup()];
  const listener = cloud.actions.createListener({ balancer, targetGroup, port: 80, protocol: 'TCP' });
  return { balancer, targetGroup, listener };
}

function refusalOf(attempt: () => unknown): number | undefined {
  try {
    attempt();
    return undefined;
  } catch (error) {
    if (error instanceof CloudRefusal) return error.status;
    throw error;
  }
}

describe('the small cloud', () => {
  it('is reachable where an address has a listener', () => {
    expect(cloud.reachable()).toEqual([]);
    createAll();
    expect(cloud.reachable()).toEqual(['192.0.2.1:80/TCP']);
  });

  it('shows each owner what is its own', () => {
    const { balancer, targetGroup, listener } = createAll();
    createBalancer('service/default/other', '192.0.2.2');
    const { balancers, targetGroups, listeners } = cloud.describe(OWNER);
    expect([...balancers, ...targetGroups, ...listeners].map(({ id }) => id)).toEqual([
      balancer,
      targetGroup,
      listener,
    ]);
    expect(cloud.describe().balancers).toHaveLength(2);
  });

  const mistakes: Readonly<Record<string, (made: ReturnType<typeof createAll>) => unknown>> = {
    'a second load balancer of an owner': () => createBalancer(OWNER, '192.0.2.2'),
    'a second target group for a port': () => createTargetGroup(),
    'a second listener for a port': ({ balancer, targetGroup }) =>
      cloud.actions.createListener({ balancer, targetGroup, port: 80, protocol: 'TCP' }),
    'to delete a target group that is in use': ({ targetGroup }) =>
      cloud.actions.deleteTargetGroup({ id: targetGroup }),
    'to delete a load balancer that has listeners': ({ balancer }) => cloud.actions.deleteBalancer({ id: balancer }),
    'an address that there is not': () => createBalancer('service/default/other', '198.51.100.1'),
  };
  it.each(Object.entries(mistakes))('refuses %s, changes nothing, and remembers it', (_, attempt) => {
    const made = createAll();
    const before = cloud.describe();
    expect(refusalOf(() => attempt(made))).toBe(400);
    expect(cloud.describe()).toEqual(before);
    expect(cloud.complaints).toHaveLength(1);
  });

  it('refuses what two may want at once, and what is gone, without a complaint', () => {
    const { listener } = createAll();
    expect(refusalOf(() => createBalancer('service/default/other'))).toBe(409);
    cloud.actions.deleteListener({ id: listener });
    expect(refusalOf(() => cloud.actions.deleteListener({ id: listener }))).toBe(404);
    expect(cloud.complaints).toEqual([]);
  });
});
