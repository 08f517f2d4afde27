/** What the tests of one stage came to. */
export interface Outcome {
  readonly passed: number;
  readonly failures: readonly Failure[];
  readonly skips: readonly Skip[];
}

export interface Failure {
  readonly name: string;
  /** What went wrong; may have several lines. */
  readonly message: string;
}

export interface Skip {
  readonly name: string;
  readonly reason: string;
}

/** What the reporter inside vitest, or the soak, tells the runner as it happens. */
export type Message =
  | { readonly kind: 'passed' }
  | ({ readonly kind: 'failed' } & Failure)
  | ({ readonly kind: 'skipped' } & Skip);

/** Adds up the messages of one run. */
export function collect(messages: readonly Message[]): Outcome {
  return {
    passed: messages.filter((message) => message.kind === 'passed').length,
    failures: messages.filter((message) => message.kind === 'failed').map(({ name, message }) => ({ name, message })),
    skips: messages.filter((message) => message.kind === 'skipped').map(({ name, reason }) => ({ name, reason })),
  };
}

/**
 * How a run ended, on top of what its tests said: a run that broke off, hung, or had no test is a failure even
 * when no test failed.
 */
export function judge(stage: string, outcome: Outcome, end: { readonly exit: string; readonly ok: boolean }): Outcome {
  const tests = outcome.passed + outcome.failures.length;
  if (!end.ok && outcome.failures.length === 0) return withFailure(outcome, stage, `the run ended with ${end.exit}`);
  if (tests === 0) return withFailure(outcome, stage, 'not a single test ran');
  return outcome;
}

/** The lines that close a run: each failure with its message, each skip with its reason, and the counts. */
export function summaryLines(outcomes: readonly Outcome[]): readonly string[] {
  const passed = outcomes.reduce((sum, outcome) => sum + outcome.passed, 0);
  const failures = outcomes.flatMap((outcome) => outcome.failures);
  const skips = outcomes.flatMap((outcome) => outcome.skips);
  return [
    ...failures.flatMap(({ name, message }) => [`FAILED ${name}`, ...indent(message)]),
    ...skips.map(({ name, reason }) => `SKIPPED ${name}: ${reason}`),
    `${passed} passed, ${failures.length} failed, ${skips.length} skipped`,
  ];
}

function withFailure(outcome: Outcome, name: string, message: string): Outcome {
  return { ...outcome, failures: [...outcome.failures, { name, message }] };
}

function indent(text: string): readonly string[] {
  return text.split('\n').map((line) => (line === '' ? '' : `  ${line}`));
}
