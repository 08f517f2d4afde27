import { EXIT } from '../exit-codes.ts';
import type { PrintedPlan } from '../inquiry/wire.ts';

/**
 * What `--exit-code` ends with. `unseen` are the providers whose load balancers live in a controller that did not
 * answer: all of theirs looks undone from here, so that says nothing.
 */
export function planExitCode(plans: readonly PrintedPlan[], unseen: ReadonlySet<string>): number {
  const seen = plans.filter(({ provider }) => !unseen.has(provider));
  if (seen.some(({ steps, preparations }) => steps.length + preparations.length > 0)) return EXIT.changes.code;
  return seen.length < plans.length ? EXIT.failed.code : EXIT.ok.code;
}
