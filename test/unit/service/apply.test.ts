import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { BallastError } from '#src/errors';
import type { PlanStep } from '#src/loadbalancer/provider';
import { applySteps } from '#src/service/apply';
import { registerServiceMetrics } from '#src/service/metrics';
import { RecordingProvider } from '#test/fakes/recording-provider';
import { silentLog } from '#test/fakes/log';

function step(kind: string, rest: Partial<PlanStep> = {}): PlanStep {
  return { kind, summary: kind, impact: 'none', frees: [`freed by ${kind}`], ...rest };
}

interface Outcome {
  readonly applied: readonly string[];
  readonly counted: readonly string[];
  readonly freed: readonly string[];
}

/** Applies the steps with a provider at which those of these kinds fail. */
async function apply(steps: readonly PlanStep[], failing: readonly string[]): Promise<Outcome> {
  const applied: string[] = [];
  const provider = Object.assign(new RecordingProvider(), {
    async apply({ kind }: PlanStep) {
      if (failing.includes(kind)) throw new BallastError('ListenFailed', `${kind} failed`);
      applied.push(kind);
    },
  });
  const metrics = registerServiceMetrics(new Registry());
  const { freed } = await applySteps(
    { steps, refusals: [] },
    {
      provider,
      context: { signal: new AbortController().signal, log: silentLog },
      fence: () => {},
      metrics,
    },
  );
  const { values } = await metrics.steps.get();
  const counted = values.map(({ labels }) => `${labels.kind} ${labels.outcome}`);
  return { applied, counted, freed };
}

describe('a step that fails', () => {
  it('ends the later steps of its scope, and lets the others go on', async () => {
    const steps = [step('a', { scope: 'x' }), step('b', { scope: 'y' }), step('c', { scope: 'x' }), step('d')];
    const { counted, freed } = await apply(steps, ['a']);
    expect(counted).toEqual(['a failed', 'b applied', 'c skipped', 'd applied']);
    expect(freed).toEqual(['freed by b', 'freed by d']);
  });

  it('ends those that need it, and those that need what was skipped', async () => {
    const steps = [
      step('open', { scope: 'new' }),
      step('close', { scope: 'old', needs: ['new'] }),
      step('release', { scope: 'address', needs: ['old'] }),
      step('other', { scope: 'elsewhere', needs: ['not in the plan'] }),
    ];
    const { applied, counted } = await apply(steps, ['open']);
    expect(applied).toEqual(['other']);
    expect(counted).toContain('release skipped');
  });

  it('leaves what it needed itself alone', async () => {
    const steps = [
      step('assign', { scope: 'address' }),
      step('open 80', { scope: '80', needs: ['address'] }),
      step('open 443', { scope: '443', needs: ['address'] }),
    ];
    expect((await apply(steps, ['open 80'])).applied).toEqual(['assign', 'open 443']);
  });

  it('ends the plan where it has no scope', async () => {
    const steps = [step('a', { scope: 'x' }), step('b'), step('c', { scope: 'y' }), step('d')];
    const { counted } = await apply(steps, ['b']);
    expect(counted).toEqual(['a applied', 'b failed', 'c skipped', 'd skipped']);
  });
});
