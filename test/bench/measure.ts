/** What was measured, and what it is held against. */

/** What stands beside a figure: a peer, or what the API server itself can do, measured in the same run. */
export interface Beside {
  readonly who: string;
  readonly value: number;
}

export interface Measure {
  /** Which figure: `2,000 waiting: seconds from start to the last address`. Unique within a scenario. */
  readonly figure: string;
  readonly value: number;
  readonly unit: 's' | 'ms' | 'ms CPU' | 'MB' | 'MB/s' | '/s' | '%' | 'requests' | 'reconciles' | '';
  /** The target: more is a miss. */
  readonly atMost?: number;
  /** The target: less is a miss. */
  readonly atLeast?: number;
  readonly beside?: readonly Beside[];
}

/** One figure over all runs. */
export interface Summary extends Omit<Measure, 'value'> {
  readonly scenario: string;
  /** In the order of the runs. */
  readonly values: readonly number[];
  /** The best run. */
  readonly best: number;
  readonly median: number;
  /** Undefined where there is no target. The median counts. */
  readonly met: boolean | undefined;
}

/** The figures of several runs of one scenario, in the order of the first run; peers by their medians. */
export function summarize(scenario: string, runs: readonly (readonly Measure[])[]): readonly Summary[] {
  const all = runs.flat();
  const figures = [...new Set(all.map(({ figure }) => figure))];
  return figures.flatMap((figure) => {
    const same = all.filter((measure) => measure.figure === figure);
    const [first] = same;
    if (!first) return [];
    const { value: _value, beside: _beside, ...rest } = first;
    const values = same.map(({ value }) => value);
    const middle = median(values);
    const peers = Map.groupBy(
      same.flatMap(({ beside = [] }) => beside),
      ({ who }) => who,
    );
    const beside = [...peers].map(([who, each]) => ({ who, value: median(each.map(({ value }) => value)) }));
    return {
      scenario,
      ...rest,
      ...(beside.length > 0 && { beside }),
      values,
      best: first.atLeast === undefined ? Math.min(...values) : Math.max(...values),
      median: middle,
      met: isMet(middle, first),
    };
  });
}

/** Undefined where there is no target. */
function isMet(value: number, { atMost, atLeast }: Measure): boolean | undefined {
  if (atMost === undefined && atLeast === undefined) return undefined;
  return value <= (atMost ?? Infinity) && value >= (atLeast ?? -Infinity);
}

/** The value below which the share `p` of the values lies; NaN of none. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}
