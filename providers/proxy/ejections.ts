/** When to avoid a node for the connections of one listener; see `Ejections`. */
export interface EjectionRules {
  /** Failures in a row. */
  readonly after: number;
  /** The least time out. */
  readonly forMs: number;
}

interface Failures {
  count: number;
  outSince: number | undefined;
}

/**
 * Passive health: what the connections of one listener tell about its nodes. A NodePort can be broken where kube-proxy
 * says that all is well, so this is kept for each listener by itself. A node that failed too often in a row stays out
 * for a while and then until its health check has passed once more.
 */
export class Ejections {
  readonly #rules: EjectionRules;
  readonly #nodes = new Map<string, Failures>();

  constructor(rules: EjectionRules) {
    this.#rules = rules;
  }

  succeeded(node: string): void {
    this.#nodes.delete(node);
  }

  /** Returns whether this failure put the node out. */
  failed(node: string, now: number): boolean {
    const failures = this.#nodes.get(node) ?? { count: 0, outSince: undefined };
    this.#nodes.set(node, failures);
    failures.count++;
    if (failures.count < this.#rules.after) return false;
    const wasOut = failures.outSince !== undefined;
    failures.outSince = now;
    return !wasOut;
  }

  /** `passedAt`: when the node last passed a health check; undefined where none is made. */
  isOut(node: string, now: number, passedAt: number | undefined): boolean {
    const outSince = this.#nodes.get(node)?.outSince;
    if (outSince === undefined) return false;
    const back = outSince + this.#rules.forMs;
    if (now < back || (passedAt !== undefined && passedAt < back)) return true;
    this.#nodes.delete(node);
    return false;
  }

  /** Forgets nodes that are no longer targets. */
  keep(targets: { has(node: string): boolean }): void {
    for (const node of this.#nodes.keys()) if (!targets.has(node)) this.#nodes.delete(node);
  }

  forget(node: string): void {
    this.#nodes.delete(node);
  }
}
