import type { ErrorCode } from '../errors.ts';
import type { Problem } from './problem.ts';

/**
 * Refusals for which what works is not torn down: a mistyped annotation must not cost a Service its address. (Bad
 * source ranges are not among them: who may connect is then unknown, so nobody may.)
 */
const HARMLESS: ReadonlySet<ErrorCode> = new Set([
  'InvalidAnnotation',
  'GroupNotAllowed',
  'AddressNotAllowed',
  'NodePortMissing',
]);

/** Whether something is refused, and nothing of it asks for an end of what works. */
export function areHarmless(problems: readonly Pick<Problem, 'code'>[]): boolean {
  return problems.length > 0 && problems.every(({ code }) => HARMLESS.has(code));
}
