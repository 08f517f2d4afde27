import { randomBytes } from 'node:crypto';
import type { Draft } from './client.ts';
import { microTime } from './microtime.ts';
import { apiVersionOf, EVENTS } from './resources.ts';
import type { Event } from './wire.ts';

/** The object that an event is about, as `regarding` names it. */
export interface ObjectRef {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace?: string | undefined;
  readonly name: string;
  readonly uid: string;
}

export interface EventDetails {
  readonly type: 'Normal' | 'Warning';
  /** Why, in one word of CamelCase: `SyncLoadBalancerFailed`. */
  readonly reason: string;
  /** What was being done, in one word: `Sync`. */
  readonly action: string;
  /** For people; cut at 1024 bytes. */
  readonly note: string;
}

/** The same thing happening again and again, and how much of that the API server knows. */
export interface EventSeries {
  readonly ref: ObjectRef;
  readonly details: EventDetails;
  /** Of the Event object. */
  readonly name: string;
  readonly firstAt: Date;
  lastAt: Date;
  count: number;
  /** The count that the Event object shows; 0 until there is one. */
  writtenCount: number;
}

/** `events.k8s.io/v1` refuses a longer note. */
const NOTE_BYTES = 1024;
const ELLIPSIS = '…';

/**
 * What makes two events the same one again. The note belongs to it (unlike in client-go): a failure with another
 * message is news.
 */
export function seriesKey(ref: ObjectRef, { type, reason, action, note }: EventDetails): string {
  return JSON.stringify([ref.uid, ref.kind, type, reason, action, note]);
}

export interface Reporter {
  readonly controller: string;
  readonly instance: string;
}

/** The Event object of a series that is new to the API server. */
export function eventObject(series: EventSeries, reporter: Reporter): Draft<Event> {
  const { ref, details, name, firstAt, lastAt, count } = series;
  return {
    apiVersion: apiVersionOf(EVENTS),
    kind: EVENTS.kind,
    metadata: { name, namespace: eventNamespace(ref) },
    eventTime: microTime(firstAt),
    reportingController: reporter.controller,
    reportingInstance: reporter.instance,
    regarding: {
      apiVersion: ref.apiVersion,
      kind: ref.kind,
      name: ref.name,
      uid: ref.uid,
      ...(ref.namespace === undefined ? {} : { namespace: ref.namespace }),
    },
    type: details.type,
    reason: details.reason,
    action: details.action,
    note: cutNote(details.note),
    ...(count > 1 ? { series: { count, lastObservedTime: microTime(lastAt) } } : {}),
  };
}

/** The merge patch that brings the Event of a series up to date. */
export function seriesPatch({ count, lastAt }: EventSeries): object {
  return { series: { count, lastObservedTime: microTime(lastAt) } };
}

/**
 * A name for the Event of an object: the object's own for people, then something random. It is chosen once per series,
 * so that a creation whose answer got lost is found to exist when it is tried again.
 */
export function eventName({ name }: ObjectRef): string {
  // A node's name may fill the 253 characters that an object's name can have, and a cut one must not end in a dot.
  const stem = name.slice(0, 200).replace(/[.-]+$/, '');
  return `${stem}.${randomBytes(8).toString('hex')}`;
}

/** Events about cluster-scoped objects live in `default`. */
export function eventNamespace(ref: ObjectRef): string {
  return ref.namespace ?? 'default';
}

/** The text within 1024 bytes of UTF-8, cut between characters, with a mark where it was cut. */
export function cutNote(note: string): string {
  if (Buffer.byteLength(note) <= NOTE_BYTES) return note;
  const room = NOTE_BYTES - Buffer.byteLength(ELLIPSIS);
  const { read } = new TextEncoder().encodeInto(note, new Uint8Array(room));
  return note.slice(0, read) + ELLIPSIS;
}
