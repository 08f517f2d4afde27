import { isExpired } from './apierror.ts';
import type { ListOptions, ObjectList, WatchOptions } from './client.ts';
import type { Resource } from './resources.ts';
import type { Trim } from './trim.ts';
import type { WatchEvent } from './watchevents.ts';
import type { KubeObject } from './wire.ts';

/** What reading one resource needs of a client; `KubeClient` has it for every resource. */
export interface ListWatcher<T extends KubeObject> {
  list(resource: Resource<T>, options: ListOptions): Promise<ObjectList<T>>;
  watch(resource: Resource<T>, options: WatchOptions): AsyncIterable<WatchEvent<T>>;
}

export interface ListPagesOptions<T extends KubeObject> {
  readonly client: Pick<ListWatcher<T>, 'list'>;
  readonly resource: Resource<T>;
  /** Applied to each page at once, so that no more than a page is ever held untrimmed. */
  readonly trim: Trim<T>;
  readonly pageSize: number;
  readonly signal: AbortSignal;
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
}

export interface WholeList<T extends KubeObject> {
  readonly objects: readonly T[];
  /** From here a watch continues without a gap. */
  readonly resourceVersion: string;
}

/** A page of a list is bigger than other answers; the API server itself gives up after 60 s. */
const PAGE_TIMEOUT_MS = 60_000;

/**
 * Lists a resource page by page. When the API server forgets the list's version on the way (410: etcd was compacted
 * while we read), the pages so far are thrown away and everything is asked for in one answer, which cannot expire.
 */
export async function listPages<T extends KubeObject>(options: ListPagesOptions<T>): Promise<WholeList<T>> {
  try {
    return await readPages(options, options.pageSize);
  } catch (error) {
    if (!isExpired(error)) throw error;
    return readPages(options, undefined);
  }
}

async function readPages<T extends KubeObject>(
  options: ListPagesOptions<T>,
  limit: number | undefined,
): Promise<WholeList<T>> {
  const { client, resource, trim, signal, namespace, labelSelector, fieldSelector } = options;
  const selection = { namespace, labelSelector, fieldSelector, limit, signal, timeoutMs: PAGE_TIMEOUT_MS };
  const objects: T[] = [];
  for (let next: string | undefined; ;) {
    const { items, metadata } = await client.list(resource, { ...selection, continue: next });
    for (const item of items ?? []) objects.push(trim(item));
    next = metadata.continue;
    if (!next) return { objects, resourceVersion: metadata.resourceVersion };
  }
}
