import { BallastError } from '../errors.ts';
import { watchErrorOf, type Status } from './apierror.ts';
import { parseJsonLines } from './ndjson.ts';
import type { KubeObject } from './wire.ts';

/** What a watch reports. A bookmark only says how far we are. */
export type WatchEvent<T extends KubeObject> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string };

/** A line of the stream before anything is known about it. */
interface Line<T extends KubeObject> {
  readonly type?: string;
  readonly object?: T & Status;
}

/**
 * The events in the body of a watch.
 * @param request What was asked, for messages.
 * @throws ApiError for an ERROR event; BallastError `ApiUnavailable` for a stream that is cut or is no watch.
 */
export async function* parseWatchEvents<T extends KubeObject>(
  body: AsyncIterable<Uint8Array>,
  request: string,
): AsyncGenerator<WatchEvent<T>, void, undefined> {
  try {
    for await (const { type, object } of parseJsonLines<Line<T>>(body)) {
      if (type === 'ERROR') throw watchErrorOf(object ?? {}, request);
      if (!object?.metadata) throw new SyntaxError(`an event of type ${type} has no object`);
      if (type === 'BOOKMARK') {
        yield { type, resourceVersion: object.metadata.resourceVersion };
      } else if (type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED') {
        yield { type, object };
      }
      // A type that we do not know is newer than this code and cannot matter to it.
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new BallastError('ApiUnavailable', `${request}: the stream broke off: ${error.message}`, { cause: error });
  }
}
