import { Argument, Option, type Command } from 'commander';
import { providerSettings, type CommandContext } from './context.ts';
import { givenFlags } from './flags.ts';
import { addInquiryFlags } from './inquiry/flags.ts';
import type { PlanFlags } from './plan/run.ts';

/** `ballast plan`. */
export function addPlanCommand(program: Command, context: CommandContext): void {
  const providers = providerSettings(context);
  const command = program
    .command('plan')
    .summary('show what the controller would change now, and what that breaks')
    .description(
      'Shows the steps that the controller would take now, what each does to traffic, and what it refuses. Asks the ' +
        'running controller; where none answers, shows what one that starts now would do. Changes nothing.',
    )
    .addArgument(new Argument('[service]', 'svc/NAME; without it, every Service of the namespace'))
    .addOption(new Option('-A, --all-namespaces', 'Every load balancer of the cluster.'))
    .addOption(
      new Option(
        '--exit-code',
        'End with 2 when there is something to do, with 1 when only the running controller could tell.',
      ),
    )
    .addHelpText('after', EXAMPLES);
  addInquiryFlags(command, providers);
  command.action(async (service: string | undefined) => {
    const { runPlan } = await import('./plan/run.ts');
    context.exitWith(
      await runPlan({ service, options: command.opts<PlanFlags>(), config: givenFlags(command, providers) }, context),
    );
  });
}

const EXAMPLES = `
Examples:
  ballast plan svc/web -n shop                       one Service, and who shares its load balancer
  ballast plan -A --exit-code || echo not yet        for scripts beside the controller
  ballast plan --controller http://127.0.0.1:10270   one whose port kubectl port-forward brings here
  ballast plan --controller https://10.0.0.5:10270 --controller-ca-file ca.crt --controller-token-file token
                                                     one on another machine, with --metrics-auth=token`;
