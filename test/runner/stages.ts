import { join } from 'node:path';
import { resolveBinaries } from '../control-plane/binaries.ts';
import { ETCD, KUBE_APISERVER, KUBE_CONTROLLER_MANAGER, KUBECTL } from '../control-plane/kubernetes-binaries.ts';
import { runCommand } from './command.ts';
import { collect, judge, type Failure, type Outcome } from './outcome.ts';

/** One part of `npm test`, in the order in which they run: the cheap ones first. */
export interface Stage {
  readonly name: string;
  readonly run: (root: string, signal: AbortSignal) => Promise<Outcome>;
  /** The stage before it, with which it runs at once, because both mostly wait; its output comes at its end. */
  readonly beside?: string;
}

interface Check {
  readonly name: string;
  readonly program: string;
  readonly arguments: readonly string[];
}

const CHECKS: readonly Check[] = [
  { name: 'types (tsc)', program: 'tsc', arguments: ['--noEmit'] },
  { name: 'lint (oxlint)', program: 'oxlint', arguments: ['--type-aware'] },
  { name: 'format (oxfmt)', program: 'oxfmt', arguments: ['--check'] },
];
const CHECK_TIMEOUT_MS = 180_000;

const MINUTE_MS = 60_000;

export const STAGES: readonly Stage[] = [
  { name: 'checks', run: runChecks },
  { name: 'unit', run: vitest('unit', 10 * MINUTE_MS) },
  { name: 'contract', run: vitest('contract', 10 * MINUTE_MS) },
  { name: 'integration', run: prepared(controlPlanePrograms, vitest('integration', 30 * MINUTE_MS)) },
  { name: 'e2e', run: prepared(labPrograms, vitest('e2e', 60 * MINUTE_MS)) },
  { name: 'soak', run: prepared(controlPlanePrograms, runSoak), beside: 'e2e' },
];

/** The stages that run at once, in the order in which that begins. */
export function together(stages: readonly Stage[]): readonly (readonly Stage[])[] {
  const groups: Stage[][] = [];
  for (const stage of stages) {
    const last = groups.at(-1);
    if (last?.some(({ name }) => name === stage.beside)) last.push(stage);
    else groups.push([stage]);
  }
  return groups;
}

/** As long as it makes new rounds; the last may take a while longer. */
const SOAK_MINUTES = 3;
const SOAK_TIMEOUT_MS = 30 * MINUTE_MS;

/** Building Kubernetes from sources on two slow cores, with room. */
const BUILD_TIMEOUT_MS = 90 * MINUTE_MS;

type Preparation = (root: string, signal: AbortSignal) => Promise<void>;

/**
 * Gets what the tests need before their time-outs run: a first build takes minutes. When it fails, the tests say why
 * they cannot run, each for itself.
 */
function prepared(prepare: Preparation, run: Stage['run']): Stage['run'] {
  return async (root, signal) => {
    try {
      await prepare(root, AbortSignal.any([signal, AbortSignal.timeout(BUILD_TIMEOUT_MS)]));
    } catch (error) {
      process.stdout.write(`  ${error instanceof Error ? error.message : String(error)}\n`);
    }
    return run(root, signal);
  };
}

async function controlPlanePrograms(_root: string, signal: AbortSignal): Promise<void> {
  const programs = [ETCD, KUBE_APISERVER, KUBE_CONTROLLER_MANAGER, KUBECTL];
  await resolveBinaries(programs, { progress: (line) => process.stdout.write(`  ${line}\n`), signal });
}

async function labPrograms(root: string, signal: AbortSignal): Promise<void> {
  const result = await runCommand({
    command: process.execPath,
    arguments: ['--conditions=source', join(root, 'test/lab/cli.ts'), 'build'],
    timeoutMs: BUILD_TIMEOUT_MS,
    signal,
    output: 'pass',
  });
  if (!result.ok) throw new Error(`The lab's programs could not be made ready: ${result.exit}.`);
}

async function runChecks(root: string, signal: AbortSignal): Promise<Outcome> {
  const failures: Failure[] = [];
  for (const check of CHECKS) {
    const result = await runCommand({
      command: join(root, 'node_modules/.bin', check.program),
      arguments: check.arguments,
      timeoutMs: CHECK_TIMEOUT_MS,
      signal,
      output: 'capture',
    });
    process.stdout.write(`  ${check.name}: ${result.ok ? 'passed' : `FAILED (${result.exit})`}\n`);
    if (!result.ok) failures.push({ name: check.name, message: `${result.exit}\n${result.text.trim()}` });
  }
  return { passed: CHECKS.length - failures.length, failures, skips: [] };
}

/** One test, whose seed is new each time and stands in its output. */
async function runSoak(root: string, signal: AbortSignal): Promise<Outcome> {
  const result = await runCommand({
    command: process.execPath,
    arguments: ['--conditions=source', join(root, 'test/soak/main.ts'), '--minutes', String(SOAK_MINUTES)],
    timeoutMs: SOAK_TIMEOUT_MS,
    signal,
    output: 'capture',
    sendsMessages: true,
    // The tests beside it hold times, and it holds none.
    niceness: 15,
  });
  process.stdout.write(result.text);
  return judge('soak', collect(result.messages), result);
}

function vitest(project: string, timeoutMs: number): Stage['run'] {
  return async (root, signal) => {
    const result = await runCommand({
      command: process.execPath,
      arguments: [
        join(root, 'node_modules/vitest/vitest.mjs'),
        'run',
        '--project',
        project,
        '--reporter',
        join(root, 'test/runner/reporter.ts'),
      ],
      timeoutMs,
      signal,
      output: 'pass',
      sendsMessages: true,
    });
    return judge(project, collect(result.messages), result);
  };
}
