/** How long property tests over arbitrary input run: a number of cases each, or for so long as `FUZZ_SECONDS` says. */
import * as fc from 'fast-check';

const SECONDS = Number(process.env['FUZZ_SECONDS'] ?? 0);
if (!(SECONDS >= 0)) throw new Error(`FUZZ_SECONDS must be a number of seconds, not ${process.env['FUZZ_SECONDS']}`);

/** How long one such test may take, in milliseconds. */
export const FUZZ_TIMEOUT_MS: number = 60_000 + SECONDS * 1_000;

/** Holds the property against `runs` inputs, or as many as come in the time that was asked for. A failure names its seed. */
export function fuzz<Input>(property: fc.IProperty<Input>, runs: number): void {
  fc.assert(property, parameters(runs));
}

/** The same for a property that waits. */
export async function fuzzAsync<Input>(property: fc.IAsyncProperty<Input>, runs: number): Promise<void> {
  await fc.assert(property, parameters(runs));
}

function parameters<Input>(runs: number): fc.Parameters<Input> {
  if (SECONDS === 0) return { numRuns: runs };
  return { numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: SECONDS * 1_000, markInterruptAsFailure: false };
}
