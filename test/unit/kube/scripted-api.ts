import { apiErrorOf, type ApiError } from '#src/kube/apierror';
import type { ListOptions, ObjectList, WatchOptions } from '#src/kube/client';
import type { ListWatcher } from '#src/kube/listpages';
import type { WatchEvent } from '#src/kube/watchevents';
import type { KubeObject } from '#src/kube/wire';

type Page<T extends KubeObject> = ObjectList<T> | Error;
type Event<T extends KubeObject> = WatchEvent<T> | Error | 'end';

/** One open watch, as the test sees it from the server's side. */
export class ScriptedWatch<T extends KubeObject> {
  readonly options: WatchOptions;
  readonly #queue: Event<T>[] = [];
  #wake: () => void = () => {};

  constructor(options: WatchOptions) {
    this.options = options;
    options.signal.addEventListener('abort', () => this.#wake());
  }

  /** Sends an event, breaks the watch with an error, or ends it in peace. */
  send(...events: Event<T>[]): void {
    this.#queue.push(...events);
    this.#wake();
  }

  async *read(): AsyncGenerator<WatchEvent<T>, void> {
    for (;;) {
      this.options.signal.throwIfAborted();
      const event = this.#queue.shift();
      if (event === 'end') return;
      if (event instanceof Error) throw event;
      if (event) yield event;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

/** The API server's lists and watches of one resource, without a wire: the test says what each call gives. */
export class ScriptedApi<T extends KubeObject> {
  readonly lists: ListOptions[] = [];
  readonly watches: ScriptedWatch<T>[] = [];
  /** What lists answer, first one first; the last one stays. */
  readonly pages: Page<T>[];
  /** What the next watches fail with. */
  readonly watchFailures: Error[] = [];

  constructor(...pages: Page<T>[]) {
    this.pages = pages;
  }

  get client(): ListWatcher<T> {
    const list = async (_: unknown, options: ListOptions): Promise<ObjectList<T>> => {
      this.lists.push(options);
      options.signal.throwIfAborted();
      const page = this.pages.length > 1 ? this.pages.shift() : this.pages[0];
      if (page === undefined) throw new Error('no page for this list');
      if (page instanceof Error) throw page;
      return page;
    };
    const watch = (_: unknown, options: WatchOptions): AsyncGenerator<WatchEvent<T>, void> => {
      const scripted = new ScriptedWatch<T>(options);
      const failure = this.watchFailures.shift();
      if (failure) scripted.send(failure);
      this.watches.push(scripted);
      return scripted.read();
    };
    return { list, watch };
  }

  /** The newest watch. */
  get watch(): ScriptedWatch<T> {
    const last = this.watches.at(-1);
    if (!last) throw new Error('nobody watches');
    return last;
  }
}

export function page<T extends KubeObject>(items: readonly T[], resourceVersion = '100', next?: string): ObjectList<T> {
  return { items, metadata: { resourceVersion, ...(next === undefined ? {} : { continue: next }) } };
}

export function apiError(httpStatus: number, reason: string, retryAfter?: string): ApiError {
  const body = JSON.stringify({ kind: 'Status', code: httpStatus, reason, message: reason });
  return apiErrorOf({ httpStatus, body, retryAfter, request: 'GET /test' });
}
