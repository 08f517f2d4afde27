import type { Frontend } from './frontend.ts';
import type { ListenerSpec } from './listener-spec.ts';

/** Stands where a listener would, without a socket: `--proxy-listen=false`. The port counts as taken all the same. */
export class ReservedFrontend implements Frontend {
  readonly size = 0;
  #spec: ListenerSpec;

  constructor(spec: ListenerSpec) {
    this.#spec = spec;
  }

  get spec(): ListenerSpec {
    return this.#spec;
  }

  open(): Promise<void> {
    return Promise.resolve();
  }

  update(spec: ListenerSpec): void {
    this.#spec = spec;
  }

  targetsChanged(): void {}

  close(): Promise<void> {
    return Promise.resolve();
  }
}
