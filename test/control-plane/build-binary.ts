import { join } from 'node:path';
import type { BinarySpec, CBuild, GoBuild, Platform } from './binary-spec.ts';
import { formatEstimate, formatSeconds, type ProgressLine, withProgress } from './progress.ts';
import { isMissingProgram, runCommand, type CommandOptions, runOrThrow } from './run-command.ts';

/** After a module was fetched, how long the step still counts as fetching. */
const FETCHING_MS = 5000;

export interface BuildOptions {
  readonly platform: Platform;
  /** Beginning of every line: `[2/7] kube-apiserver`. */
  readonly label: string;
  /** How long it should take, in seconds. */
  readonly estimate: number;
  readonly env: NodeJS.ProcessEnv;
  readonly progress: ProgressLine;
  readonly signal?: AbortSignal;
}

/** Builds the program from its pinned sources to `draft`, with low priority and a progress line every few seconds. */
export async function buildBinary(spec: BinarySpec, draft: string, options: BuildOptions): Promise<void> {
  let fetchedAt = -Infinity;
  const step = (): string => (performance.now() - fetchedAt < FETCHING_MS ? 'fetching modules' : 'compiling');
  const command: CommandOptions = {
    cwd: spec.build.module,
    // The go command ends its compilers on an interrupt and leaves them running on a termination.
    killSignal: 'SIGINT',
    ...(options.signal && { signal: options.signal }),
    onErrorLine(line) {
      if (line.startsWith('go: downloading')) fetchedAt = performance.now();
    },
  };
  const { build } = spec;
  await withProgress(
    options.progress,
    (elapsed) => `${options.label}: ${step()}, ${againstEstimate(elapsed, options.estimate)}`,
    () => (build.kind === 'go' ? buildGo(build, draft, options, command) : buildC(build, draft, options, command)),
  );
}

/** `45 s of about 3 min 20 s`, and honest when the estimate was wrong. */
export function againstEstimate(elapsed: number, estimate: number): string {
  if (elapsed <= estimate) return `${formatSeconds(elapsed)} of ${formatEstimate(estimate)}`;
  return `${formatSeconds(elapsed)}, longer than the estimated ${formatSeconds(estimate)}`;
}

/** Throws with what to do when the tools that these programs are built with are not there. */
export async function requireBuildTools(specs: readonly BinarySpec[], env: NodeJS.ProcessEnv): Promise<void> {
  const names = specs.map(({ name }) => name).join(', ');
  await requireTool('go', ['version'], env, `Install Go 1.26 or newer (https://go.dev/doc/install) to build ${names}`);
  const withC = specs.filter(({ build }) => build.kind === 'c' || build.cgo === true);
  if (withC.length === 0) return;
  const needing = withC.map(({ name }) => name).join(', ');
  await requireTool('cc', ['--version'], env, `Install a C compiler (Debian: apt-get install gcc) to build ${needing}`);
}

async function requireTool(
  tool: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  remedy: string,
): Promise<void> {
  try {
    await runCommand(tool, args, { env });
  } catch (error) {
    if (!isMissingProgram(error)) throw error;
    throw new Error(
      `There is no \`${tool}\` in PATH. ${remedy}, or set KUBEBUILDER_ASSETS to a folder that has the programs` +
        ' (it serves kube-apiserver, etcd, kubectl and the other Kubernetes daemons).',
      { cause: error },
    );
  }
}

async function buildGo(
  build: GoBuild,
  draft: string,
  { env, platform }: BuildOptions,
  command: CommandOptions,
): Promise<void> {
  const tags = build.tags ? ['-tags', build.tags.join(',')] : [];
  const args = ['build', '-trimpath', ...tags, '-ldflags', build.ldflags, '-o', draft, build.package];
  const more = await build.env?.();
  await runOrThrow('nice', ['-n', '10', 'go', ...args], {
    ...command,
    env: {
      ...env,
      GOOS: platform.os,
      GOARCH: platform.arch,
      // A workspace of the surrounding folders would replace the pinned versions.
      GOWORK: 'off',
      CGO_ENABLED: build.cgo === true ? '1' : '0',
      ...more,
    },
  });
}

async function buildC(build: CBuild, draft: string, { env }: BuildOptions, command: CommandOptions): Promise<void> {
  const args = ['mod', 'download', '-json', build.sourceModule];
  const { stdout } = await runOrThrow('go', args, { ...command, env: { ...env, GOWORK: 'off' } });
  const source = join(folderOf(JSON.parse(stdout), build.sourceModule), build.sourceFile);
  await runOrThrow('nice', ['-n', '10', 'cc', ...build.flags, '-o', draft, source], { ...command, env });
}

function folderOf(answer: unknown, module: string): string {
  if (typeof answer === 'object' && answer !== null && 'Dir' in answer && typeof answer.Dir === 'string') {
    return answer.Dir;
  }
  throw new Error(`go mod download did not tell where it put ${module}`);
}
