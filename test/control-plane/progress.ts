/** Writes one line for people; a line has no line break. */
export type ProgressLine = (line: string) => void;

/** `45 s`, `3 min 20 s`, `1 h 5 min`: a length of time as a person says it. */
export function formatSeconds(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return joinParts(Math.floor(whole / 60), 'min', whole % 60, 's');
  return joinParts(Math.floor(whole / 3600), 'h', Math.floor((whole % 3600) / 60), 'min');
}

function joinParts(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}

/** An estimate is no promise: it is rounded to ten seconds from a minute on. */
export function formatEstimate(seconds: number): string {
  return `about ${formatSeconds(seconds < 60 ? seconds : Math.round(seconds / 10) * 10)}`;
}

/**
 * Says `text(elapsed seconds)` every few seconds until the work has ended, so that a long step never looks dead.
 * Returns what the work returns.
 */
export async function withProgress<T>(
  say: ProgressLine,
  text: (elapsedSeconds: number) => string,
  work: () => Promise<T>,
  everyMs: number = 5000,
): Promise<T> {
  const startedAt = performance.now();
  const timer = setInterval(() => say(text((performance.now() - startedAt) / 1000)), everyMs);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}
