import { join } from 'node:path';
import type { BinarySpec } from './binary-spec.ts';
import { isExecutable } from './binary-cache.ts';
import type { ProgressLine } from './progress.ts';
import { runCommand } from './run-command.ts';

/**
 * The program in the folder that `KUBEBUILDER_ASSETS` names (the convention of controller-runtime's envtest), when it
 * is there and of our minor version. Says which one is used, and why one is not.
 */
export async function givenAsset(
  spec: BinarySpec,
  folder: string,
  progress: ProgressLine,
): Promise<string | undefined> {
  if (!spec.versionArguments) return undefined;
  const path = join(folder, spec.name);
  if (!(await isExecutable(path))) return undefined;
  const { stdout, stderr } = await runCommand(path, spec.versionArguments);
  const version = versionIn(stdout) ?? versionIn(stderr);
  if (version && minorOf(version) === minorOf(spec.version)) {
    progress(`${spec.name}: using ${path} (${version}) from KUBEBUILDER_ASSETS`);
    return path;
  }
  const found = version ? `is ${version}` : 'does not tell its version';
  progress(`${spec.name}: not using ${path} from KUBEBUILDER_ASSETS: it ${found}, and ${spec.version} is wanted`);
  return undefined;
}

/** The first version in what a program printed, with its `v`. */
function versionIn(text: string): string | undefined {
  const match = /\bv?(\d+\.\d+\.\d+)/.exec(text);
  return match ? `v${match[1]}` : undefined;
}

function minorOf(version: string): string {
  return version.split('.').slice(0, 2).join('.');
}
