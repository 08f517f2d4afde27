import { Command } from 'commander';
import type { CliContext, CommandContext } from './context.ts';
import { EXIT } from './exit-codes.ts';
import { describeFailure } from './failure.ts';
import { addControllerCommand } from './controller.ts';
import { addExplainCommand } from './explain.ts';
import { addPlanCommand } from './plan.ts';
import { addVersionCommand } from './version.ts';

const HELP_WIDTH = 110;

/** Runs the command line to its end and gives the exit code; everything that went wrong has been printed by then. */
export async function runCli(argv: readonly string[], context: CliContext): Promise<number> {
  let exitCode = EXIT.ok.code;
  const program = createProgram({
    ...context,
    exitWith: (code) => {
      exitCode = code;
    },
  });
  // The command that a complaint is about: its flags are the ones to suggest.
  let subject = program;
  for (const command of [program, ...program.commands]) {
    command.exitOverride((error) => {
      subject = command;
      throw error;
    });
  }
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exitCode;
  } catch (error) {
    const failure = describeFailure(error, subject);
    context.stderr(failure.text);
    return failure.exitCode;
  }
}

/** The whole command line; what a subcommand does is loaded when it is called. */
export function createProgram(context: CommandContext): Command {
  const program = new Command('ballast')
    .description('Gives Kubernetes Services of type LoadBalancer an address that answers.')
    .showSuggestionAfterError(false)
    .configureOutput({
      writeOut: context.stdout,
      writeErr: context.stderr,
      outputError: () => {},
      getOutHelpWidth: () => Math.min(process.stdout.columns ?? HELP_WIDTH, HELP_WIDTH),
      getErrHelpWidth: () => Math.min(process.stderr.columns ?? HELP_WIDTH, HELP_WIDTH),
    })
    // Without what commander adds by itself: the descriptions say what is the default.
    .configureHelp({ optionDescription: (option) => option.description })
    .addHelpText('after', `${EXAMPLES}\n\n${exitCodes()}`);
  addControllerCommand(program, context);
  addPlanCommand(program, context);
  addExplainCommand(program, context);
  addVersionCommand(program, context);
  return program;
}

const EXAMPLES = `
Examples:
  ballast controller --default-provider proxy        give Services an address of this machine
  ballast explain svc/web -n shop                    why a Service has no address, or has this one
  ballast plan -A                                    what the controller would change now
  ballast controller --help                          every setting; also as variable or in a file`;

function exitCodes(): string {
  const lines = Object.values(EXIT).map(
    ({ code, meaning }) => `  ${String(code).padEnd(5)}${meaning.replaceAll('`', '')}`,
  );
  return ['Exit codes:', ...lines].join('\n');
}
