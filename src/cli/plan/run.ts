import type { Raw } from '../../config/sources.ts';
import { BallastError } from '../../errors.ts';
import type { CliContext } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { answer } from '../inquiry/answer.ts';
import type { InquiryFlags } from '../inquiry/flags.ts';
import type { Selection } from '../inquiry/inquiry.ts';
import { openTarget, parseServiceName } from '../inquiry/target.ts';
import { PLAN_ANSWER, PLAN_PATH, planQuery } from '../inquiry/wire.ts';
import { planExitCode } from './exit.ts';
import { planText } from './text.ts';

export interface PlanFlags extends InquiryFlags {
  readonly allNamespaces?: boolean;
  readonly exitCode?: boolean;
}

export interface PlanInput {
  readonly service: string | undefined;
  readonly options: PlanFlags;
  readonly config: Readonly<Record<string, Raw>>;
}

const ONE_BY_ONE = 'Each was planned by itself: where several need an address, the later ones get others than shown.';

/** `ballast plan`: prints the plans and gives the exit code. */
export async function runPlan({ service, options, config }: PlanInput, context: CliContext): Promise<number> {
  if (service !== undefined && options.allNamespaces) {
    throw new BallastError('InvalidConfig', 'Give either a Service or --all-namespaces, not both.');
  }
  const name = service === undefined ? undefined : parseServiceName(service);
  await using target = await openTarget(config, context);
  const namespace = options.namespace ?? target.namespace;
  const selection: Selection =
    name !== undefined ? { service: `${namespace}/${name}` } : options.allNamespaces ? {} : { namespace };
  let unseen: ReadonlySet<string> = new Set();
  const answered = await answer(target, {
    flags: options,
    path: PLAN_PATH,
    query: planQuery(selection),
    schema: PLAN_ANSWER,
    compute: async ({ inquiry, providers }) => {
      unseen = new Set(providers.filter(({ capabilities }) => !capabilities.seenFromOutside).map(({ name }) => name));
      return { plans: await inquiry.plans(selection, target.signal) };
    },
  });
  const { plans } = answered.answer;
  if (options.output === 'json') {
    context.stdout(`${JSON.stringify({ source: answered.source, plans }, undefined, 2)}\n`);
  } else {
    context.stderr(`${answered.note}\n\n`);
    context.stdout(planText(plans, selection, unseen));
    if (answered.source === 'fresh' && plans.length > 1) context.stderr(`\n${ONE_BY_ONE}\n`);
  }
  return options.exitCode ? planExitCode(plans, unseen) : EXIT.ok.code;
}
