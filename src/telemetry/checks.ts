/** One line of `/healthz` or `/readyz`. */
export interface Check {
  readonly name: string;
  /** True when all is well; otherwise why not, or false when there is nothing to say. Must be quick. */
  readonly check: () => boolean | string;
}

export interface ChecksAnswer {
  readonly ok: boolean;
  /** A line for each check and a last one for all, as the API server's `/readyz?verbose` writes them. */
  readonly text: string;
}

/** Runs the checks of `endpoint` (`readyz`). A check that throws has failed with that message. */
export function runChecks(endpoint: string, checks: readonly Check[]): ChecksAnswer {
  const results = checks.map((one) => ({ name: one.name, problem: problemOf(one) }));
  const ok = results.every(({ problem }) => problem === undefined);
  const lines = results.map(({ name, problem }) =>
    problem === undefined ? `[+]${name} ok` : `[-]${name} failed${problem && `: ${problem}`}`,
  );
  return { ok, text: [...lines, `${endpoint} check ${ok ? 'passed' : 'failed'}`, ''].join('\n') };
}

/** Undefined when the check passes. */
function problemOf({ check }: Check): string | undefined {
  try {
    const result = check();
    if (result === true) return undefined;
    return result === false ? '' : result;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
