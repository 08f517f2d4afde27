import type { PatchOutcome } from '../kube/patch.ts';
import type { Service } from '../kube/wire.ts';
import type { Echo } from './echo.ts';
import type { ServiceMetrics } from './metrics.ts';
import type { Fence, PatchOptions, ServicePatch, ServiceWriter } from './ports.ts';

export type Purpose = 'prepare' | 'status' | 'release';

export interface WritesOptions {
  readonly provider: string;
  readonly writer: ServiceWriter;
  readonly fence: Fence;
  readonly echo: Echo;
  readonly metrics: Pick<ServiceMetrics, 'writes'>;
}

export interface Write extends PatchOptions {
  readonly purpose: Purpose;
  readonly service: Service;
  /** Pure: the patch for a state of the Service; undefined when that state needs none. */
  readonly compute: (current: Service) => ServicePatch | undefined;
}

/** The way of every write to a Service: none when nothing differs, none without leadership, each recognised later. */
export class Writes {
  readonly #options: WritesOptions;

  constructor(options: WritesOptions) {
    this.#options = options;
  }

  /** Writes what differs; `unchanged` and `gone` sent nothing that counted. */
  async send({ purpose, service, compute, ...options }: Write): Promise<PatchOutcome<Service>> {
    const first = compute(service);
    const { writer, fence, echo, metrics, provider } = this.#options;
    if (first === undefined) {
      echo.confirm(service);
      return { kind: 'unchanged', object: service };
    }
    const outcome = await writer.patch(
      service,
      (current) => {
        const patch = current === service ? first : compute(current);
        if (patch === undefined) return undefined;
        fence();
        echo.expect(current, patch);
        return patch;
      },
      options,
    );
    if (outcome.kind === 'patched') metrics.writes.inc({ provider, purpose });
    // The event of its end may have come before, and no other will.
    if (outcome.kind === 'gone') echo.forget(service);
    return outcome;
  }
}
