import { Argument, type Command } from 'commander';
import { providerSettings, type CommandContext } from './context.ts';
import { givenFlags } from './flags.ts';
import { addInquiryFlags, type InquiryFlags } from './inquiry/flags.ts';

/** `ballast explain`. */
export function addExplainCommand(program: Command, context: CommandContext): void {
  const providers = providerSettings(context);
  const command = program
    .command('explain')
    .summary('say why a Service has its address, or none: every decision in order')
    .description(
      'Says every decision about a Service in order: ✓ yes, ✗ no, · just so. The first ✗ is the one to look at. Asks ' +
        'the running controller; where none answers, permission to read Services, nodes, EndpointSlices and Leases is ' +
        'enough. Changes nothing.',
    )
    .addArgument(new Argument('<service>', 'svc/NAME'))
    .addHelpText('after', EXAMPLES);
  addInquiryFlags(command, providers);
  command.action(async (service: string) => {
    const { runExplain } = await import('./explain/run.ts');
    await runExplain(
      { service, options: command.opts<InquiryFlags>(), config: givenFlags(command, providers) },
      context,
    );
  });
}

const EXAMPLES = `
Examples:
  ballast explain svc/web
  ballast explain svc/web -n shop -o json`;
