import type { Refusal } from './model.ts';

/** What is wrong with one Service, before somebody says whose it is. */
export type Problem = Omit<Refusal, 'member'>;

/** What was read from a Service, and what was wrong with it; with problems, the value is only a stand-in. */
export interface Reading<T> {
  readonly value: T;
  readonly problems: readonly Problem[];
}

/** The dotted form of an annotation, for a problem's `field`. */
export function annotationField(annotation: string): string {
  return `metadata.annotations[${annotation}]`;
}

/** As much of a value as a message shows. */
const QUOTED = 100;

/** A user's text in quotes, cut short: annotations may hold hundreds of kilobytes. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > QUOTED ? `${text.slice(0, QUOTED)}…` : text);
}
