import { Option, type Command } from 'commander';
import type { CliContext } from './context.ts';

/** `ballast version`. */
export function addVersionCommand(program: Command, { version, providers, stdout }: CliContext): void {
  program
    .command('version')
    .summary('say which version this is')
    .description('Says which version this is, on which Node.js, and which providers it has.')
    .addOption(outputOption())
    .action(({ output }: { readonly output: string }) => {
      const facts = { version, node: process.versions.node, providers: Object.keys(providers) };
      stdout(
        output === 'json'
          ? `${JSON.stringify(facts, undefined, 2)}\n`
          : `ballast ${facts.version} (Node.js ${facts.node}; providers: ${facts.providers.join(', ')})\n`,
      );
    });
}

/** `-o text|json`. */
export function outputOption(): Option {
  return new Option('-o, --output <form>', 'How to print the answer (text or json; default: text).')
    .choices(['text', 'json'])
    .default('text');
}
