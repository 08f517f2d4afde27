/** What the controller answers over HTTP, and how it is asked. */
import { z } from 'zod';
import type { Explanation, Selection } from './inquiry.ts';
import type { PlanReport } from '../../service/preview.ts';

export const PLAN_PATH = '/api/plan';
export const EXPLAIN_PATH = '/api/explain';

/** Which cluster the controller serves, to notice when somebody asks the wrong one. */
interface Signed {
  readonly cluster?: string | undefined;
}

export interface PlanAnswer extends Signed {
  readonly plans: readonly PlanReport[];
}

export interface ExplainAnswer extends Signed {
  readonly explanation: Explanation;
}

/** Only what is printed is checked; the rest is passed on to `-o json` as it came. */
const STEP = z.looseObject({ kind: z.string(), summary: z.string(), impact: z.enum(['none', 'drains', 'breaks']) });
const REFUSAL = z.looseObject({ member: z.string(), code: z.string(), message: z.string() });
const REPORT = z.looseObject({
  provider: z.string(),
  key: z.string(),
  name: z.string(),
  members: z.array(z.string()),
  leaving: z.array(z.string()),
  preparations: z.array(z.string()),
  steps: z.array(STEP),
  refusals: z.array(REFUSAL),
  warnings: z.array(z.string()),
  kept: z.boolean(),
});
const DECISION = z.object({ subject: z.string(), verdict: z.enum(['yes', 'no', 'info']), text: z.string() });

export const PLAN_ANSWER: z.ZodType<PrintedPlans> = z.object({
  cluster: z.string().optional(),
  plans: z.array(REPORT),
});
export const EXPLAIN_ANSWER: z.ZodType<ExplainAnswer> = z.object({
  cluster: z.string().optional(),
  explanation: z.object({ service: z.string(), decisions: z.array(DECISION), provider: z.string().optional() }),
});
export const ERROR_ANSWER: z.ZodType<{ readonly error: { readonly code: string; readonly message: string } }> =
  z.object({ error: z.object({ code: z.string(), message: z.string() }) });

/** A plan as far as it is printed. */
export interface PrintedPlan {
  readonly provider: string;
  readonly key: string;
  readonly name: string;
  readonly members: readonly string[];
  readonly leaving: readonly string[];
  readonly preparations: readonly string[];
  readonly steps: readonly { readonly summary: string; readonly impact: 'none' | 'drains' | 'breaks' }[];
  readonly refusals: readonly { readonly code: string; readonly message: string }[];
  readonly warnings: readonly string[];
  readonly kept: boolean;
}

export interface PrintedPlans {
  readonly cluster?: string | undefined;
  readonly plans: readonly PrintedPlan[];
}

/** The query of a plan request. */
export function planQuery(selection: Selection): URLSearchParams {
  const query = new URLSearchParams();
  if (selection.service !== undefined) query.set('service', selection.service);
  if (selection.namespace !== undefined) query.set('namespace', selection.namespace);
  return query;
}
