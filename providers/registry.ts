import type { ProviderDefinition } from '#src/loadbalancer/definition';
import { PROXY } from './proxy/definition.ts';

/** Every provider there is, by name: a line each. */
export const PROVIDERS: Readonly<Record<string, ProviderDefinition>> = {
  proxy: PROXY,
};
