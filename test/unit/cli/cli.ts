import type { CliContext } from '#src/cli/context';
import { runCli } from '#src/cli/program';
import type { ProviderDefinition } from '#src/loadbalancer/definition';

export interface Run {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A provider that has options and is never built. */
const PROXY: ProviderDefinition = {
  loadBalancerClass: 'ballast.dev/proxy',
  options: [{ name: 'proxy-addresses', type: 'list', default: '127.0.0.1', form: 'addresses', meaning: 'The pool.' }],
  create: () => Promise.reject(new Error('not built in these tests')),
};

/** Runs the command line in this process, with an empty environment unless given. */
export async function ballast(argv: readonly string[], context: Partial<CliContext> = {}): Promise<Run> {
  let stdout = '';
  let stderr = '';
  const exitCode = await runCli(argv, {
    providers: { proxy: PROXY },
    env: {},
    version: '1.2.3',
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
    ...context,
  });
  return { exitCode, stdout, stderr };
}
