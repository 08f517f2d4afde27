/** One decision about a Service. The first `no` is what to look at. */
export interface Decision {
  /** What was decided, in one or two words. */
  readonly subject: string;
  readonly verdict: 'yes' | 'no' | 'info';
  readonly text: string;
}

/** As many names as a sentence lists. */
const LISTED = 10;

export function yes(subject: string, text: string): Decision {
  return { subject, verdict: 'yes', text };
}

export function no(subject: string, text: string): Decision {
  return { subject, verdict: 'no', text };
}

export function info(subject: string, text: string): Decision {
  return { subject, verdict: 'info', text };
}

/** The first ones, and how many more there are. */
export function listed(parts: readonly string[], separator = ', '): string {
  const rest = parts.length - LISTED;
  return [...parts.slice(0, LISTED), ...(rest > 0 ? [`and ${rest} more`] : [])].join(separator);
}
