/** The program as `src/main.ts` composes it, with the small cloud as one more provider. */
import { PROVIDERS } from '#providers/registry';
import { runCli } from '#src/cli/program';
import { CLOUD } from './cloud-provider.ts';

const exitCode = await runCli(process.argv.slice(2), {
  providers: { ...PROVIDERS, cloud: CLOUD },
  env: process.env,
  version: 'test',
  stdout: (text) => process.stdout.write(text),
  stderr: (text) => process.stderr.write(text),
});
process.exit(exitCode);
