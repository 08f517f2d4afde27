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

/** What a terminal could act on or show in a place of its own: control characters, marks of direction, line ends. */
const UNPRINTABLE = /[\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/**
 * A user's text in quotes, cut short, because annotations may hold hundreds of kilobytes, and with everything escaped
 * that is no letter on paper: messages are printed in terminals.
 */
export function quoted(text: string): string {
  const short = JSON.stringify(text.length > QUOTED ? `${text.slice(0, QUOTED)}…` : text);
  return short.replace(UNPRINTABLE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
