import { describe, expect, it } from 'vitest';
import { service } from '#test/fakes/builders';
import type { Service } from '#src/kube/wire';
import { hasFinalizer, withFinalizers, withoutFinalizers } from '#src/service/finalizers';

const OURS = 'ballast.dev/proxy';
const UPSTREAM = 'service.kubernetes.io/load-balancer-cleanup';

function having(finalizers: readonly string[], loadBalancerClass: string | null = null): Service {
  return service({ loadBalancerClass, metadata: { finalizers } });
}

describe('finalizers', () => {
  it.each<[string, Service, readonly string[] | undefined]>([
    ['none', service({ loadBalancerClass: null }), [OURS, UPSTREAM]],
    ['none, with a class', service(), [OURS]],
    ['a foreign one', having(['example.com/x']), ['example.com/x', OURS, UPSTREAM]],
    ['ours only', having([OURS]), [OURS, UPSTREAM]],
    ['both', having([UPSTREAM, OURS]), undefined],
    ['ours, with a class', having([OURS], 'ballast.dev/proxy'), undefined],
  ])('go on beside: %s', (_, each, expected) => {
    expect(withFinalizers(each, 'proxy')).toEqual(expected);
  });

  it.each<[string, Service, boolean, readonly string[] | undefined]>([
    ['both', having([OURS, UPSTREAM]), true, []],
    ['both, from among foreign ones', having(['a/b', OURS, UPSTREAM, 'c/d']), true, ['a/b', 'c/d']],
    ['ours alone where another takes Services without a class', having([OURS, UPSTREAM]), false, [UPSTREAM]],
    [
      'ours alone while another provider holds it',
      having([OURS, UPSTREAM, 'ballast.dev/aws']),
      true,
      [UPSTREAM, 'ballast.dev/aws'],
    ],
    ['ours alone from a Service with a class', having([OURS, UPSTREAM], 'ballast.dev/proxy'), true, [UPSTREAM]],
    ['nothing when ours is not there', having([UPSTREAM]), true, undefined],
    ['nothing when there is none', service(), true, undefined],
  ])('come off: %s', (_, each, takesUpstream, expected) => {
    expect(withoutFinalizers(each, 'proxy', takesUpstream)).toEqual(expected);
  });

  it('are told apart by provider', () => {
    expect(hasFinalizer(having([OURS]), 'proxy')).toBe(true);
    expect(hasFinalizer(having([OURS]), 'aws')).toBe(false);
    expect(hasFinalizer(service(), 'proxy')).toBe(false);
  });
});
