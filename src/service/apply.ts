import type { BallastError } from '../errors.ts';
import type { Plan, PlanStep, Provider, ProviderContext } from '../loadbalancer/provider.ts';
import { failureOf } from './failure.ts';
import type { ServiceMetrics } from './metrics.ts';
import type { Fence } from './ports.ts';

export interface ApplyOptions {
  readonly provider: Provider;
  readonly context: ProviderContext;
  readonly fence: Fence;
  readonly metrics: Pick<ServiceMetrics, 'steps'>;
}

export interface StepFailure {
  readonly step: PlanStep;
  readonly error: BallastError;
}

/** What became of a plan. */
export interface Applied {
  /** How many steps succeeded. */
  readonly applied: number;
  readonly failures: readonly StepFailure[];
  /** What the steps that succeeded have set free for others. */
  readonly freed: readonly string[];
}

/**
 * Applies the steps in order. A failing step skips the later ones of its scope and those that need it, and lets the
 * others go on; one without a scope ends the plan. The end of leadership or of the signal ends everything by a throw.
 */
export async function applySteps(plan: Plan, options: ApplyOptions): Promise<Applied> {
  const { provider, context, fence, metrics } = options;
  const failures: StepFailure[] = [];
  const freed: string[] = [];
  let applied = 0;
  const count = (step: PlanStep, outcome: 'applied' | 'failed' | 'skipped'): void =>
    metrics.steps.inc({ provider: provider.name, kind: step.kind, outcome });
  /** Scopes of what has failed or was skipped. */
  const lost = new Set<string>();
  let hasEnded = false;
  const lose = ({ scope }: PlanStep): void => {
    if (scope !== undefined) lost.add(scope);
  };
  for (const step of plan.steps) {
    const { scope, needs = [] } = step;
    if (hasEnded || (scope !== undefined && lost.has(scope)) || needs.some((each) => lost.has(each))) {
      lose(step);
      count(step, 'skipped');
      continue;
    }
    context.signal.throwIfAborted();
    fence();
    try {
      await provider.apply(step, { ...context, fence });
      applied += 1;
      freed.push(...(step.frees ?? []));
      count(step, 'applied');
      context.log.info({ step: step.kind, impact: step.impact }, step.summary);
    } catch (error) {
      const failure = { step, error: failureOf(error, context.signal) };
      failures.push(failure);
      lose(step);
      hasEnded = scope === undefined;
      count(step, 'failed');
      context.log.warn({ step: step.kind, error: failure.error }, `failed: ${step.summary}`);
    }
  }
  return { applied, failures, freed };
}
