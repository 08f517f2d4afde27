import { HOW_TO_ASK } from '../inquiry/ask.ts';
import { leasesOf, readLeadership } from '../inquiry/lease.ts';
import type { Explanation } from '../inquiry/inquiry.ts';
import type { Fresh, Target } from '../inquiry/target.ts';
import type { Decision } from '../../service/explain.ts';
import { explainLeader, type Leadership } from '../../service/leadership.ts';

/** What of an explanation is read off the outside, by subject; what begins with an error code was decided before. */
const OUTSIDE: ReadonlySet<string> = new Set(['address', 'plan', 'traffic']);
const REFUSED = /^[A-Z]\w+: /;

/** Every decision about a Service without asking its controller; says who would know more. */
export async function explainFresh(name: string, { inquiry, providers }: Fresh, target: Target): Promise<Explanation> {
  const explanation = await inquiry.explain(name, target.signal);
  const provider = providers.find((one) => one.name === explanation.provider);
  if (provider === undefined) return explanation;
  const { leaderElection } = target.loaded.config;
  const leadership = leaderElection && (await readLeadership(leasesOf(target.client, leaderElection, target.signal)));
  const known = provider.capabilities.seenFromOutside ? explanation.decisions : withoutOutside(explanation.decisions);
  return { ...explanation, decisions: withLeader(known, leadership) };
}

/** What of a provider lives in the controller process is not in ours: what ours says of the outside means nothing. */
export function withoutOutside(decisions: readonly Decision[]): readonly Decision[] {
  const unknown: Decision = {
    subject: 'outside',
    verdict: 'info',
    text: `What is open and healthy only the controller that leads knows: ${HOW_TO_ASK}.`,
  };
  const at = decisions.findIndex(({ subject, text }) => subject === 'plan' && !REFUSED.test(text));
  return decisions.flatMap((decision, index) => {
    if (index === at) return unknown;
    const { subject, text } = decision;
    return OUTSIDE.has(subject) && (subject === 'traffic' || !REFUSED.test(text)) ? [] : decision;
  });
}

/** Who does the work, behind the claim. */
export function withLeader(
  [claim, ...rest]: readonly Decision[],
  leadership: Leadership | undefined,
): readonly Decision[] {
  if (claim === undefined || leadership === undefined) return claim === undefined ? [] : [claim, ...rest];
  return [claim, explainLeader(leadership), ...rest];
}
