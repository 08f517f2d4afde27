import type { Provider } from '../../loadbalancer/provider.ts';
import type { Component, Leadership } from '../../runtime/manager.ts';

export interface Standby {
  readonly component: Component;
  /** Resolves when nothing of it runs any more; waits for its start. */
  readonly ended: Promise<void>;
}

/** What the provider does while this process waits for the Lease; undefined where it has nothing to do. */
export function standbyOf(provider: Provider, { acquired }: Pick<Leadership, 'acquired'>): Standby | undefined {
  if (!provider.standby) return undefined;
  const ended = Promise.withResolvers<void>();
  return {
    ended: ended.promise,
    component: {
      name: `standby-${provider.name}`,
      async start(signal) {
        const leads = new AbortController();
        void acquired.then(
          () => leads.abort(),
          () => {},
        );
        try {
          await provider.standby?.(AbortSignal.any([signal, leads.signal]));
        } finally {
          ended.resolve();
        }
      },
    },
  };
}
