import type { Raw } from '../../config/sources.ts';
import type { CliContext } from '../context.ts';
import { answer } from '../inquiry/answer.ts';
import type { InquiryFlags } from '../inquiry/flags.ts';
import { openTarget, parseServiceName } from '../inquiry/target.ts';
import { EXPLAIN_ANSWER, EXPLAIN_PATH, type ExplainAnswer } from '../inquiry/wire.ts';
import { explainFresh } from './fresh.ts';
import { explanationText } from './text.ts';

export interface ExplainInput {
  readonly service: string;
  readonly options: InquiryFlags;
  readonly config: Readonly<Record<string, Raw>>;
}

/** `ballast explain`: prints the decisions. */
export async function runExplain({ service, options, config }: ExplainInput, context: CliContext): Promise<void> {
  const name = parseServiceName(service);
  await using target = await openTarget(config, context);
  const fullName = `${options.namespace ?? target.namespace}/${name}`;
  const answered = await answer<ExplainAnswer>(target, {
    flags: options,
    path: EXPLAIN_PATH,
    query: new URLSearchParams({ service: fullName }),
    schema: EXPLAIN_ANSWER,
    compute: async (fresh) => ({ explanation: await explainFresh(fullName, fresh, target) }),
  });
  const { explanation } = answered.answer;
  if (options.output === 'json') {
    context.stdout(`${JSON.stringify({ source: answered.source, ...explanation }, undefined, 2)}\n`);
  } else {
    context.stderr(`${answered.note}\n\n`);
    context.stdout(explanationText(explanation));
  }
}
