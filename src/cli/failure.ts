import { CommanderError, type Command } from 'commander';
import { suggestion } from '../config/sources.ts';
import { BallastError, classify, errorRow } from '../errors.ts';
import { redactText } from '../telemetry/redact.ts';
import { EXIT } from './exit-codes.ts';

/** A failure as the shell and the person at it see it. */
export interface Failure {
  readonly exitCode: number;
  /** For standard error, with a final newline; empty when everything has been said. */
  readonly text: string;
}

/** One clear line for what went wrong, and one for what to do about it. */
export function describeFailure(error: unknown, command: Command): Failure {
  const failure = failureOf(error, command);
  return { ...failure, text: redactText(failure.text) };
}

function failureOf(error: unknown, command: Command): Failure {
  if (error instanceof CommanderError) return commandLineFailure(error, command);
  const failure = classify(error);
  const lines = failure.message.split('\n').map((line) => `ballast: ${line}\n`);
  if (failure.code === 'Bug') {
    return { exitCode: EXIT.failed.code, text: `${lines.join('')}${stackOf(failure)}\n` };
  }
  const usage = failure.code === 'InvalidConfig';
  const { remedy } = errorRow(failure.code);
  const hint = remedy.startsWith('None needed') ? '' : `  hint: ${remedy.replaceAll('`', '')}\n`;
  return { exitCode: usage ? EXIT.usage.code : EXIT.failed.code, text: lines.join('') + hint };
}

function stackOf(error: BallastError): string {
  return (error.cause instanceof Error ? error.cause.stack : error.stack) ?? '';
}

function commandLineFailure(error: CommanderError, command: Command): Failure {
  // Help and version were asked for and have been written.
  if (error.exitCode === 0) return { exitCode: EXIT.ok.code, text: '' };
  // No subcommand: the help has been written to standard error.
  if (error.code === 'commander.help') return { exitCode: EXIT.usage.code, text: '' };
  const path = pathOf(command);
  const text = `ballast: ${messageOf(error, command)}\n  hint: \`${path} --help\` shows what there is\n`;
  return { exitCode: EXIT.usage.code, text };
}

function messageOf(error: CommanderError, command: Command): string {
  const name = /'([^']*)'/.exec(error.message)?.[1] ?? '';
  if (error.code === 'commander.unknownOption') {
    const known = command.options.flatMap(({ long }) => (long ? [long] : []));
    return `unknown flag ${name}${suggestion(name, [...known, '--help'])}`;
  }
  if (error.code === 'commander.unknownCommand') {
    return `unknown command ${name}${suggestion(
      name,
      command.commands.map((one) => one.name()),
    )}`;
  }
  return error.message.replace(/^error: /, '').replace(/\.?$/, '.');
}

function pathOf(command: Command): string {
  return command.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name();
}
