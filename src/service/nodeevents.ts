/**
 * What is told when vanished nodes are kept, and when that ends: on one Node, not on every Service, whose targets stay
 * as they are. The Node is the first that is missing: when it is back, `kubectl describe node` shows it, and until then
 * `kubectl get events` does.
 */
import type { Hold, HoldChange } from '../loadbalancer/nodeguard.ts';
import { formatDuration } from '../loadbalancer/options.ts';
import type { Announcement } from './announce.ts';
import { listed } from './verdict.ts';

export interface NodeAnnouncement extends Announcement {
  /** Name of the Node that it is told on. */
  readonly node: string;
}

/** What to tell. `total` nodes were in use when the hold began; the hold time is in milliseconds. */
export function nodeAnnouncement(
  change: Exclude<HoldChange, 'none'>,
  { missing }: Hold,
  { total, holdMs }: { readonly total: number; readonly holdMs: number },
): NodeAnnouncement {
  const node = missing[0]?.name ?? '';
  const names = listed(missing.map(({ name }) => name));
  switch (change) {
    case 'held': {
      const message =
        `${missing.length} of ${total} nodes vanished at once (${names}). Load balancers keep them as targets until ` +
        `they are back, for ${formatDuration(holdMs)} at most (--node-loss-hold).`;
      return { node, type: 'Warning', reason: 'NodesMissing', message };
    }
    case 'returned':
      return {
        node,
        type: 'Normal',
        reason: 'NodesReturned',
        message: `The nodes that were missing are back: ${names}.`,
      };
    default: {
      const message =
        `${missing.length} nodes did not come back within ${formatDuration(holdMs)} (${names}). Load balancers use ` +
        'them no longer.';
      return { node, type: 'Warning', reason: 'NodesRemoved', message };
    }
  }
}
