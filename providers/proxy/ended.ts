import { BallastError } from '#src/errors';

/**
 * What a reconcile gets that is still under way when the provider has ended. No failure of the load balancer: nothing
 * about it may be written any more, and whoever leads next serves it.
 */
export function providerEnded(): BallastError {
  return new BallastError('NotLeader', 'The proxy provider of this process has ended.');
}
