/**
 * Behind `npm test`: checks, then each vitest project, every one to its end whatever failed before, and a summary
 * that closes with one line `N passed, N failed, N skipped`. `npm test -- unit contract` runs only those stages.
 */
import { fileURLToPath } from 'node:url';
import { summaryLines, type Outcome } from './runner/outcome.ts';
import { STAGES, together, type Stage } from './runner/stages.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => STAGES.every((stage) => stage.name !== name));
if (unknown.length > 0) {
  const names = STAGES.map((stage) => stage.name).join(', ');
  process.stderr.write(`No such stage: ${unknown.join(', ')}. There are: ${names}.\n`);
  process.exit(2);
}

const interrupt = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupt.abort());

process.chdir(root);
const outcomes: Outcome[] = [];
for (const group of together(STAGES.filter(({ name }) => wanted.length === 0 || wanted.includes(name)))) {
  process.stdout.write(`${group.map(({ name }) => name).join(' and ')}\n`);
  outcomes.push(...(await Promise.all(group.map(runStage))));
}
process.stdout.write(`${summaryLines(outcomes).join('\n')}\n`);
process.exitCode = outcomes.some((outcome) => outcome.failures.length > 0) ? 1 : 0;

async function runStage({ name, run }: Stage): Promise<Outcome> {
  const startedAt = performance.now();
  const outcome: Outcome = interrupt.signal.aborted
    ? { passed: 0, failures: [{ name, message: 'not run: interrupted' }], skips: [] }
    : await run(root, interrupt.signal);
  process.stdout.write(`${name} took ${((performance.now() - startedAt) / 1_000).toFixed(1)} s\n\n`);
  return outcome;
}
