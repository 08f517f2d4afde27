import type { LeaseApi, LeaseSpec } from '#src/kube/leaseapi';
import type { Lease } from '#src/kube/wire';
import { BallastError } from '#src/errors';
import type { Clock } from '#src/runtime/clock';
import { apiError } from './scripted-api.ts';

/** What becomes of one request. */
export interface Trouble {
  /** Time until it reaches the server. */
  readonly toServerMs: number;
  /** Time until the answer is back. */
  readonly backMs: number;
  /** Lost on the way: nothing happens, and no answer comes. */
  readonly requestLost: boolean;
  /** Carried out, but no answer comes. */
  readonly answerLost: boolean;
}

export const NO_TROUBLE: Trouble = { toServerMs: 0, backMs: 0, requestLost: false, answerLost: false };

/** One Lease in the memory of an API server, with its rules: names are unique, and updates need the newest version. */
export class MemoryLeases {
  lease: Lease | undefined;
  /** What was done, in order. */
  readonly log: string[] = [];
  #version = 0;
  #changed: PromiseWithResolvers<void> = Promise.withResolvers();

  create(spec: LeaseSpec): Lease {
    if (this.lease) throw apiError(409, 'AlreadyExists');
    return this.#store(spec, 'create');
  }

  update(lease: Lease, spec: LeaseSpec): Lease {
    if (!this.lease) throw apiError(404, 'NotFound');
    if (this.lease.metadata.resourceVersion !== lease.metadata.resourceVersion) throw apiError(409, 'Conflict');
    return this.#store(spec, 'update');
  }

  delete(): void {
    this.lease = undefined;
    this.#tell();
  }

  #tell(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** As a watch: what came between is told once. */
  async *#changes({ metadata: { resourceVersion: seen } }: Lease, signal: AbortSignal): AsyncGenerator<void> {
    const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    let last: string | undefined = seen;
    while (!signal.aborted) {
      const now = this.lease?.metadata.resourceVersion;
      if (now === last) await Promise.race([this.#changed.promise, aborted]);
      else yield;
      last = now;
    }
  }

  #store(spec: LeaseSpec, verb: string): Lease {
    this.#version += 1;
    const metadata = { namespace: 'kube-system', name: 'ballast', uid: 'u1', resourceVersion: String(this.#version) };
    this.lease = { metadata, spec };
    this.log.push(`${verb} ${spec.holderIdentity || '(nobody)'}`);
    this.#tell();
    return this.lease;
  }

  /** Access for one elector; `next` says what becomes of each request. Times pass on `clock`. */
  api(clock: Clock, next: () => Trouble = () => NO_TROUBLE): LeaseApi {
    const call = async <T>(signal: AbortSignal, work: () => T): Promise<T> => {
      const trouble = next();
      const aborted = new Promise<never>((_, reject) => {
        if (signal.aborted) reject(signal.reason);
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
      aborted.catch(() => {});
      const pass = (ms: number): Promise<void> =>
        new Promise((resolve) => (ms === 0 ? resolve() : void clock.after(ms, resolve)));
      // A request that its caller gave up may still arrive and be carried out.
      const serve = async (): Promise<T> => {
        await pass(trouble.toServerMs);
        if (trouble.requestLost) return never;
        try {
          return work();
        } finally {
          await pass(trouble.backMs);
        }
      };
      const served = serve();
      served.catch(() => {});
      return Promise.race([trouble.answerLost ? never : served, aborted]);
    };
    return {
      key: 'kube-system/ballast',
      read: (signal) => call(signal, () => this.lease),
      create: (spec, signal) => call(signal, () => this.create(spec)),
      update: (lease, spec, signal) => call(signal, () => this.update(lease, spec)),
      changes: (lease, signal) => this.#changes(lease, signal),
    };
  }
}

const never: Promise<never> = new Promise(() => {});

export function unavailable(): BallastError {
  return new BallastError('ApiUnavailable', 'connection refused');
}
