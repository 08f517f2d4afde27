/** Our finalizers: on before the first external write, off after the last external delete. Foreign ones stay. */
import type { Service } from '../kube/wire.ts';
import { PREFIX } from '../loadbalancer/annotations.ts';

/** Upstream's, on Services without a class, so that tools and people see what they expect. */
export const UPSTREAM_FINALIZER = 'service.kubernetes.io/load-balancer-cleanup';

/** `ballast.dev/<provider>`. */
export function finalizerOf(provider: string): string {
  return `${PREFIX}${provider}`;
}

/** Whether this provider holds, or has held, something for the Service. */
export function hasFinalizer(service: Service, provider: string): boolean {
  return service.metadata.finalizers?.includes(finalizerOf(provider)) ?? false;
}

/** All finalizers of the Service once ours are on it; undefined when they are. */
export function withFinalizers(service: Service, provider: string): readonly string[] | undefined {
  const present = service.metadata.finalizers ?? [];
  const wanted = [
    finalizerOf(provider),
    ...(service.spec?.loadBalancerClass === undefined ? [UPSTREAM_FINALIZER] : []),
  ];
  const missing = wanted.filter((finalizer) => !present.includes(finalizer));
  return missing.length === 0 ? undefined : [...present, ...missing];
}

/**
 * All finalizers of the Service once ours are off; undefined when they are. Upstream's goes with ours from a Service
 * without a class (a change of type wipes the class, too) where `takesUpstream`: only the provider that takes Services
 * without a class answers for it. Otherwise another controller may clean up by it.
 */
export function withoutFinalizers(
  service: Service,
  provider: string,
  takesUpstream: boolean,
): readonly string[] | undefined {
  const present = service.metadata.finalizers ?? [];
  const ours = finalizerOf(provider);
  if (!present.includes(ours)) return undefined;
  const anotherHolds = present.some((finalizer) => finalizer !== ours && finalizer.startsWith(PREFIX));
  const withUpstream = takesUpstream && service.spec?.loadBalancerClass === undefined && !anotherHolds;
  return present.filter((finalizer) => finalizer !== ours && !(withUpstream && finalizer === UPSTREAM_FINALIZER));
}
