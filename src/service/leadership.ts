/** Who does the work, as a decision of `ballast explain`. Pure. */
import { listed, no, yes, type Decision } from './verdict.ts';

/** Who holds a Lease, and which one, as `namespace/name`. */
export interface Holder {
  readonly identity: string;
  readonly lease: string;
}

/** Who writes, as far as the explaining process knows. */
export type Leadership =
  /** This very process. */
  | { readonly kind: 'self' }
  /** This process did, and cannot renew its Lease now. */
  | { readonly kind: 'fenced' }
  /** Whoever holds a Lease of the name: nobody, one, or several that know nothing of each other. */
  | { readonly kind: 'others'; readonly holders: readonly Holder[] };

const FENCED =
  'The controller serves on, but it is fenced: it could not renew its Lease, so it changes nothing until the API ' +
  'server lets it.';
const NOBODY = 'No controller holds the Lease, so nobody does the work; start one, or see its log.';

/** The first one who says no is to be looked at first, so two leaders are as bad as none. */
export function explainLeader(leadership: Leadership): Decision {
  if (leadership.kind === 'self') return yes('leader', 'This process leads and does the work.');
  if (leadership.kind === 'fenced') return no('leader', FENCED);
  const [first, ...more] = leadership.holders;
  if (first === undefined) return no('leader', NOBODY);
  if (more.length === 0) return yes('leader', `The controller ${first.identity} leads and does the work.`);
  const names = leadership.holders.map(({ identity, lease }) => `${identity} (Lease ${lease})`);
  return no(
    'leader',
    `${names.length} controllers lead and undo each other's work: ${listed(names)}. Stop all but one, or give them ` +
      'the same --leader-elect-namespace.',
  );
}
