import { RecordingProvider } from '../fakes/recording-provider.ts';
import { RecordingWorld } from '../fakes/recording-world.ts';
import type { Harness } from './harness.ts';
import { testProvider } from './provider.ts';

interface RecordingHarness extends Harness {
  readonly world: RecordingWorld;
}

const addresses = {
  IPv4: [1, 2, 3, 4, 5].map((number) => `192.0.2.${number}`),
  IPv6: [1, 2, 3, 4, 5].map((number) => `2001:db8::${number}`),
};

testProvider<RecordingHarness>({
  name: 'the recording provider of the tests',
  async create() {
    const world = new RecordingWorld();
    const start = (): RecordingProvider => new RecordingProvider({ world, pool: Object.values(addresses).flat() });
    let provider = start();
    return {
      world,
      addresses,
      get provider() {
        return provider;
      },
      async restart() {
        provider = start();
      },
      second: async () => start(),
      reachable: async () => world.reachable(),
      leftovers: async () => world.list().map(({ id }) => id.name),
      async close() {},
    };
  },
  damage: [
    {
      name: 'a listener that somebody removed',
      async inflict({ world }, { id }) {
        world.change(id, ({ listeners }) => ({ listeners: listeners.slice(1) }));
      },
    },
    {
      name: 'a listener that somebody pointed elsewhere',
      async inflict({ world }, { id }) {
        world.change(id, ({ listeners }) => ({
          listeners: listeners.map((each, index) => (index === 0 ? { ...each, targets: ['192.0.2.99:1'] } : each)),
        }));
      },
    },
    {
      name: 'a listener that somebody added',
      async inflict({ world }, { id }) {
        world.change(id, ({ listeners: [first, ...rest] }) =>
          first ? { listeners: [first, ...rest, { ...first, listener: { ...first.listener, port: 6_666 } }] } : {},
        );
      },
    },
    {
      name: 'a load balancer that somebody deleted',
      async inflict({ world }, { id }) {
        world.change(id, () => ({ addresses: [], listeners: [] }));
      },
    },
  ],
});
