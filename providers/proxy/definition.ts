import type { ProviderDefinition } from '#src/loadbalancer/definition';
import { PROXY_OPTIONS, parseProxyOptions } from './options.ts';

/** The proxy provider as the registry lists it; sockets and all are loaded when it is built. */
export const PROXY: ProviderDefinition = {
  loadBalancerClass: 'ballast.dev/proxy',
  options: PROXY_OPTIONS,
  async create(values, parts) {
    const options = parseProxyOptions(values);
    const { createProxyProvider } = await import('./index.ts');
    return createProxyProvider(options, parts);
  },
};
