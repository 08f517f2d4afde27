import { relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import type { Reporter, SerializedError, TestCase, TestModule, TestSuite } from 'vitest/node';
import type { Message } from './outcome.ts';

type ConsoleLog = Parameters<NonNullable<Reporter['onUserConsoleLog']>>[0];

/** A test that took longer gets a line of its own as it ends, so that a slow suite shows that it lives. */
const WORTH_A_LINE_MS = 1_000;

/** Runs inside vitest: prints progress in plain lines and tells the runner every result as it comes. */
export default class RunnerReporter implements Reporter {
  onTestCaseResult(test: TestCase): void {
    const result = test.result();
    const name = `${testFile(test.module)} > ${test.fullName}`;
    const milliseconds = test.diagnostic()?.duration ?? 0;
    switch (result.state) {
      case 'passed':
        if (milliseconds > WORTH_A_LINE_MS) print(`    passed in ${seconds(milliseconds)}: ${test.fullName}`);
        return tell({ kind: 'passed' });
      case 'failed':
        print(`    FAILED in ${seconds(milliseconds)}: ${test.fullName}`);
        return tell({ kind: 'failed', name, message: describeErrors(result.errors) });
      case 'skipped':
        return tell({ kind: 'skipped', name, reason: skipReason(test, result.note) });
      case 'pending':
        return tell({ kind: 'failed', name, message: 'the run ended before the test did' });
    }
  }

  onTestSuiteResult(suite: TestSuite): void {
    const errors = suite.errors();
    if (errors.length === 0) return;
    print(`    FAILED around its tests: ${suite.fullName}`);
    tell({
      kind: 'failed',
      name: `${testFile(suite.module)} > ${suite.fullName} (its hooks)`,
      message: describeErrors(errors),
    });
  }

  onTestModuleEnd(module: TestModule): void {
    const errors = module.errors();
    if (errors.length > 0) {
      tell({ kind: 'failed', name: `${testFile(module)} (the file)`, message: describeErrors(errors) });
    }
    const tests = [...module.children.allTests()].map((test) => test.result().state);
    const counts = (['passed', 'failed', 'skipped'] as const)
      .map((state) => ({ state, count: tests.filter((one) => one === state).length }))
      .filter(({ count }) => count > 0)
      .map(({ state, count }) => `${count} ${state}`);
    const verdict = errors.length > 0 ? ['the file FAILED', ...counts] : counts;
    print(`  ${testFile(module)}: ${verdict.join(', ') || 'no test'} (${seconds(module.diagnostic().duration)})`);
  }

  onTestRunEnd(_modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    for (const error of unhandledErrors) {
      tell({ kind: 'failed', name: 'an error that no test handled', message: describeErrors([error]) });
    }
  }

  /** What a test prints is worth reading: measured figures, for example. */
  onUserConsoleLog(log: ConsoleLog): void {
    print(log.content.trimEnd().replaceAll(/^/gm, '    | '));
  }
}

function testFile(module: TestModule): string {
  return relative(process.cwd(), module.moduleId);
}

function skipReason(test: TestCase, note: string | undefined): string {
  if (note) return note;
  if (test.options.mode === 'run') return 'a hook before it failed';
  return `marked ${test.options.mode}, no reason given`;
}

/** Message, difference and the first place in our own code, of each error. */
function describeErrors(errors: readonly SerializedError[]): string {
  return errors
    .map((error) => {
      const place = error.stacks?.find((frame) => !frame.file.includes('node_modules')) ?? error.stacks?.[0];
      const cause: unknown = error['cause'];
      return [
        error.message || (error.name ?? 'an error without a message'),
        typeof cause === 'object' && cause !== null && 'message' in cause ? `caused by: ${String(cause.message)}` : '',
        typeof error['diff'] === 'string' ? error['diff'] : '',
        place ? `at ${relative(process.cwd(), place.file)}:${place.line}:${place.column}` : (error.stack ?? ''),
      ]
        .filter((line) => line !== '')
        .map((line) => stripVTControlCharacters(line))
        .join('\n');
    })
    .join('\n');
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1_000).toFixed(milliseconds < 10_000 ? 2 : 0)} s`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** The runner listens on the channel it gave this process; without one, a person started vitest by hand. */
function tell(message: Message): void {
  process.send?.(message);
}
