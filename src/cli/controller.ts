import type { Command } from 'commander';
import { OPTION_GROUPS } from '../config/core-options.ts';
import { providerSettings, type CommandContext } from './context.ts';
import { addConfigFlags, givenFlags } from './flags.ts';

/** `ballast controller`. */
export function addControllerCommand(program: Command, context: CommandContext): void {
  const providers = providerSettings(context);
  const command = program
    .command('controller')
    .summary('give Services an address; runs until it is told to stop')
    .description(
      'Watches the Services of the cluster and gives those of type LoadBalancer an address that answers. Runs until ' +
        'SIGTERM or SIGINT; a second signal ends it at once. Logs one JSON object a line on standard output.\n\n' +
        'Every setting is a flag, an environment variable, or a line in the file that --config names, and counts in ' +
        'this order: --log-level debug, BALLAST_LOG_LEVEL=debug, log-level: debug.',
    )
    .addHelpText('after', EXAMPLES);
  addConfigFlags(command, OPTION_GROUPS, providers);
  command.action(async () => {
    const { runController } = await import('./controller/run.ts');
    context.exitWith(await runController(givenFlags(command, providers), context));
  });
}

const EXAMPLES = `
Examples:
  ballast controller --default-provider proxy --proxy-addresses 127.0.0.2-127.0.0.9
      on a laptop, with addresses of its loopback, also for Services without a class
  ballast controller --proxy-addresses 192.0.2.10-192.0.2.20 --proxy-interface eth0
      on the machine in front of the nodes, which gets the addresses as they are needed
  BALLAST_LOG_LEVEL=debug ballast controller --config ballast.yaml
      settings from variables and a file`;
