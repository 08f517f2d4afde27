import { RecordingProvider } from '../fakes/recording-provider.ts';
import { RecordingWorld } from '../fakes/recording-world.ts';
import type { Harness } from './harness.ts';
import { testProvider } from './provider.ts';

const IPv4 = ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4', '192.0.2.5', '192.0.2.6'];
const IPv6 = ['2001:db8::1', '2001:db8::2', '2001:db8::3', '2001:db8::4'];

class RecordingHarness implements Harness {
  readonly world: RecordingWorld = new RecordingWorld();
  readonly addresses = { IPv4, IPv6 };
  provider: RecordingProvider = this.#start();

  #start(): RecordingProvider {
    return new RecordingProvider({ world: this.world, pool: [...IPv4, ...IPv6] });
  }

  restart(): Promise<void> {
    this.provider = this.#start();
    return Promise.resolve();
  }

  second(): Promise<RecordingProvider> {
    return Promise.resolve(this.#start());
  }

  reachable(): Promise<readonly string[]> {
    return Promise.resolve(this.world.reachable());
  }

  leftovers(): Promise<readonly string[]> {
    return Promise.resolve(this.world.list().map(({ id }) => id.name));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

testProvider<RecordingHarness>({
  name: 'the recording provider',
  create: () => Promise.resolve(new RecordingHarness()),
  damage: [
    {
      name: 'a listener that somebody removed',
      inflict: ({ world }, { id }) => {
        world.change(id, ({ listeners }) => ({ listeners: listeners.slice(1) }));
        return Promise.resolve();
      },
    },
    {
      name: 'targets that somebody changed',
      inflict: ({ world }, { id }) => {
        world.change(id, ({ listeners }) => ({ listeners: listeners.map((each) => ({ ...each, targets: [] })) }));
        return Promise.resolve();
      },
    },
    {
      name: 'a load balancer that somebody deleted',
      inflict: ({ world }, { id }) => {
        world.change(id, () => ({ addresses: [], listeners: [] }));
        return Promise.resolve();
      },
    },
  ],
});
