/** A controller whose load balancers are in a cloud, killed at every point where it acts. */
import { parseKey } from '#src/loadbalancer/identity';
import { CLOUD } from '#test/chaos/cloud-provider';
import { CloudServer } from '#test/chaos/cloud-server';
import { PROGRAM_WITH_CLOUD } from '#test/chaos/controller-process';
import { FaultProxy } from '#test/chaos/fault-proxy';
import type { Outside } from './outside.ts';
import { testKills } from './suite.ts';

const ADDRESSES = Array.from({ length: 20 }, (_, index) => `192.0.2.${index + 1}`);

async function openOutside(): Promise<Outside> {
  const server = await CloudServer.start(ADDRESSES);
  const proxy = await FaultProxy.start({ target: server.url });
  const { cloud } = server;
  return {
    gates: [{ name: 'cloud', proxy, isEffect: ({ method }) => method === 'POST' }],
    flags: ['--cloud-url', proxy.url],
    async paths() {
      const { balancers, targetGroups, listeners } = cloud.describe();
      return listeners.flatMap(({ balancer, targetGroup, port, protocol }) => {
        const addresses = balancers.find(({ id }) => id === balancer)?.addresses ?? [];
        const targets = targetGroups.find(({ id }) => id === targetGroup)?.targets ?? [];
        return addresses.map((address) => ({ address, port, protocol, targets }));
      });
    },
    async inventory() {
      const { balancers, targetGroups } = cloud.describe();
      const owners = new Set([...balancers, ...targetGroups].map(({ owner }) => owner));
      return [...owners].map((owner) => {
        const tagged = balancers.filter((each) => each.owner === owner).flatMap(({ members }) => members);
        const served = targetGroups.filter((each) => each.owner === owner).map(({ member }) => member);
        return { id: parseKey(owner), members: [...new Set([...tagged, ...served])] };
      });
    },
    async describe() {
      const { balancers, targetGroups, listeners } = cloud.describe();
      return [
        ...balancers.map((balancer) => ({ kind: 'balancer', ...balancer, id: '' })),
        ...targetGroups.map((targetGroup) => ({ kind: 'target group', ...targetGroup, id: '' })),
        ...listeners.map(({ balancer, targetGroup, port, protocol }) => {
          const owner = balancers.find(({ id }) => id === balancer)?.owner;
          const member = targetGroups.find(({ id }) => id === targetGroup)?.member;
          return { kind: 'listener', owner, member, port, protocol };
        }),
      ];
    },
    complaints: () => cloud.complaints,
    async close() {
      await proxy.close();
      await server.close();
    },
  };
}

testKills({
  provider: 'cloud',
  loadBalancerClass: CLOUD.loadBalancerClass,
  program: PROGRAM_WITH_CLOUD,
  openOutside,
  // Of a listener: its target group, its targets, itself.
  leastEffects: {
    'a group is joined': 8,
    'a group is left': 8,
    'a Service is created': 9,
    'a Service without a class is created': 9,
    'a Service without a class is deleted': 6,
    'a Service without NodePorts is created': 6,
    'a Service is created, and deleted while no controller is there': 6,
    'a port is changed': 6,
    'a Service is deleted': 6,
    'the type is changed': 6,
    'a member of a group is deleted': 4,
    'a port is added': 4,
    'a node is added': 2,
    'a node is removed': 2,
  },
});
