import type { Selection } from '../inquiry/inquiry.ts';
import { HOW_TO_ASK } from '../inquiry/ask.ts';
import type { PrintedPlan } from '../inquiry/wire.ts';

/** In front of each step; words follow where a person has to think. */
const MARKS = { none: ' ', drains: '~', breaks: '!' } as const;
const IMPACTS = { none: '', drains: '  (open connections drain)', breaks: '  (BREAKS connections)' } as const;

/**
 * Plans for a person, the ones with work first in full, then how many are as they should be. `unseen` are the providers
 * whose load balancers live in a controller that did not answer.
 */
export function planText(
  plans: readonly PrintedPlan[],
  selection: Selection,
  unseen: ReadonlySet<string> = new Set(),
): string {
  if (plans.length === 0) return `${nothing(selection)}\n`;
  const quiet = plans.filter(isQuiet);
  // One that was asked for by name is shown also when there is nothing to say about it.
  const shown = selection.service === undefined ? plans.filter((plan) => !isQuiet(plan)) : plans;
  return [...shown.map(onePlan), closing(plans, quiet.length, unseen)].join('\n');
}

const ONLY_FRESH = ` for a controller that starts now.\nWhat the controller that leads has done cannot be seen from here: ${HOW_TO_ASK}.`;

function isQuiet({ steps, preparations, refusals, warnings, kept }: PrintedPlan): boolean {
  return !kept && steps.length + preparations.length + refusals.length + warnings.length === 0;
}

function onePlan(plan: PrintedPlan): string {
  const { key, provider, members, leaving, preparations, steps, refusals, warnings, kept } = plan;
  const shared = key.startsWith('group/') ? `, shared by ${members.join(', ') || 'nobody any more'}` : '';
  const lines = [
    `${plan.name}  (${provider}${shared})`,
    ...leaving.map((name) => `      lets go of ${name}`),
    ...preparations.map((text) => `      first: ${text}`),
    ...steps.map(({ summary, impact }, index) => `${numbered(index)} ${MARKS[impact]} ${summary}${IMPACTS[impact]}`),
    ...refusals.map(({ code, message }) => `      refused: ${code}: ${message}`),
    ...warnings.map((message) => `      note: ${message}`),
    ...(kept ? ['      stays as it is until the request is accepted'] : []),
    ...(isQuiet(plan) ? ['      nothing to do'] : []),
  ];
  return `${lines.join('\n')}\n`;
}

function numbered(index: number): string {
  return `${String(index + 1).padStart(4)}.`;
}

function closing(plans: readonly PrintedPlan[], quiet: number, unseen: ReadonlySet<string>): string {
  const steps = plans.flatMap((plan) => plan.steps);
  const count = (impact: keyof typeof MARKS): number => steps.filter((step) => step.impact === impact).length;
  const notes = [
    ...(count('breaks') > 0 ? [`${count('breaks')} of them break connections`] : []),
    ...(count('drains') > 0 ? [`${count('drains')} drain connections`] : []),
  ];
  const refusals = plans.reduce((sum, plan) => sum + plan.refusals.length, 0);
  const parts = [
    plural(plans.length, 'load balancer'),
    `${quiet} as asked`,
    `${plural(steps.length, 'step')} to take${notes.length > 0 ? ` (${notes.join(', ')})` : ''}`,
    ...(refusals > 0 ? [`${refusals} refused`] : []),
  ];
  const summary = parts.join(', ');
  return plans.some(({ provider }) => unseen.has(provider)) ? `${summary}${ONLY_FRESH}\n` : `${summary}.\n`;
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function nothing({ service, namespace }: Selection): string {
  if (service !== undefined) return `${service} is not for this controller; \`ballast explain\` says why.`;
  return namespace === undefined
    ? 'No Service of the cluster is for this controller.'
    : `No Service of the namespace ${namespace} is for this controller; -A shows all namespaces.`;
}
