import type { GrownCluster } from './grown-cluster.ts';
import type { Measure } from './measure.ts';
import type { Subject } from './subject.ts';

/** How Ballast is to be run and watched. */
export interface Measured {
  readonly progress: (line: string) => void;
  /** More flags of Ballast's Node.js. */
  readonly nodeFlags: readonly string[];
}

export interface ScenarioContext extends Measured {
  /** Makes every count of Services and nodes this share of what it says: to try things out. */
  readonly share: number;
  /** The peer to measure beside Ballast. */
  readonly peer: Subject | undefined;
  /** The cluster of 5,000 nodes that `scale` and `start` let grow to 10,000 Services; made when it is first asked for. */
  readonly largeCluster: () => Promise<GrownCluster>;
}

/** Measures, and leaves nothing behind. */
export type Scenario = (context: ScenarioContext) => Promise<readonly Measure[]>;

/** `10,000`. */
export function count(number: number): string {
  return number.toLocaleString('en');
}
