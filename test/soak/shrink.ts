import { roundsOf, type Line } from './script.ts';

/** Whether these lines fail as well. */
export type Fails = (lines: readonly Line[]) => Promise<boolean>;

/**
 * Leaves out what the failure does not need: whole rounds first, then single lines, in ever smaller pieces, as long as
 * there is time (delta debugging, Zeller and Hildebrandt 2002). Gives the smallest list that was seen to fail.
 */
export async function shrink(
  lines: readonly Line[],
  fails: Fails,
  isTimeLeft: () => boolean,
): Promise<readonly Line[]> {
  const rounds = await reduce(roundsOf(lines), (kept) => fails(kept.flat()), isTimeLeft);
  return reduce(rounds.flat(), fails, isTimeLeft);
}

async function reduce<T>(
  all: readonly T[],
  fails: (kept: readonly T[]) => Promise<boolean>,
  isTimeLeft: () => boolean,
): Promise<readonly T[]> {
  let kept = all;
  let size = Math.ceil(kept.length / 2);
  while (size >= 1 && kept.length > 1) {
    let start = 0;
    while (start < kept.length && kept.length > 1) {
      if (!isTimeLeft()) return kept;
      const rest = [...kept.slice(0, start), ...kept.slice(start + size)];
      if (rest.length > 0 && (await fails(rest))) kept = rest;
      else start += size;
    }
    size = size === 1 ? 0 : Math.ceil(size / 2);
  }
  return kept;
}
