import { expect } from 'vitest';
import type { Provider } from '#src/loadbalancer/provider';
import { CloudClient } from '../chaos/cloud-client.ts';
import type { Cloud } from '../chaos/cloud.ts';
import { CloudProvider } from '../chaos/cloud-provider.ts';
import { CloudServer } from '../chaos/cloud-server.ts';
import type { Harness } from './harness.ts';
import { testProvider } from './provider.ts';

interface CloudHarness extends Harness {
  readonly cloud: Cloud;
}

const addresses = {
  IPv4: [1, 2, 3, 4, 5].map((number) => `192.0.2.${number}`),
  IPv6: [1, 2, 3, 4, 5].map((number) => `2001:db8::${number}`),
};

async function create(): Promise<CloudHarness> {
  const server = await CloudServer.start(Object.values(addresses).flat());
  const { cloud } = server;
  const ends: (() => Promise<void>)[] = [];
  const start = (): Provider => {
    const provider = new CloudProvider(new CloudClient(server.url));
    const abort = new AbortController();
    const running = provider.run(abort.signal);
    ends.push(() => {
      abort.abort();
      return running;
    });
    return provider;
  };
  let provider = start();
  return {
    cloud,
    addresses,
    get provider() {
      return provider;
    },
    async restart() {
      await ends.pop()?.();
      provider = start();
    },
    second: async () => start(),
    reachable: async () => cloud.reachable(),
    async leftovers() {
      const { balancers, targetGroups } = cloud.describe();
      return [...balancers, ...targetGroups].map(({ id, owner }) => `${id} of ${owner}`);
    },
    async close() {
      for (const end of ends) await end();
      await server.close();
      expect(cloud.complaints).toEqual([]);
    },
  };
}

testProvider<CloudHarness>({
  name: 'the provider of the small cloud of the tests',
  create,
  histories: 10,
  damage: [
    {
      name: 'a listener that somebody removed',
      async inflict({ cloud }) {
        cloud.actions.deleteListener({ id: cloud.describe().listeners.at(-1)?.id ?? '' });
      },
    },
    {
      name: 'targets that somebody changed',
      async inflict({ cloud }) {
        cloud.actions.setTargets({ id: cloud.describe().targetGroups.at(-1)?.id ?? '', targets: ['192.0.2.99:1'] });
      },
    },
    {
      name: 'members that somebody tagged otherwise',
      async inflict({ cloud }) {
        cloud.actions.setMembers({ id: cloud.describe().balancers.at(-1)?.id ?? '', members: ['somebody'] });
      },
    },
    {
      name: 'a load balancer that somebody deleted with all its listeners',
      async inflict({ cloud }) {
        const { balancers, listeners } = cloud.describe();
        const id = balancers.at(-1)?.id ?? '';
        for (const listener of listeners.filter(({ balancer }) => balancer === id)) {
          cloud.actions.deleteListener({ id: listener.id });
          cloud.actions.deleteTargetGroup({ id: listener.targetGroup });
        }
        cloud.actions.deleteBalancer({ id });
      },
    },
  ],
});
