import type { Service } from '../kube/wire.ts';
import { SOURCE_RANGES_ANNOTATION } from './annotations.ts';
import { parseCidr } from './ip.ts';
import { annotationField, quoted, type Problem, type Reading } from './problem.ts';

/**
 * Who may connect: `spec.loadBalancerSourceRanges`, or Kubernetes' own annotation where that is empty, with white
 * space ignored as upstream does (`k8s.io/cloud-provider/service/helpers`). Each CIDR once, host bits cleared.
 */
export function readSourceRanges(service: Service): Reading<readonly string[]> {
  const ranges = new Set<string>();
  const problems: Problem[] = [];
  for (const { text, field } of entriesOf(service)) {
    const range = parseCidr(text);
    if (range === undefined) problems.push(problemOf(text, field));
    else ranges.add(range);
  }
  return { value: [...ranges], problems };
}

interface Entry {
  readonly text: string;
  readonly field: string;
}

function entriesOf(service: Service): readonly Entry[] {
  const fromSpec = service.spec?.loadBalancerSourceRanges ?? [];
  if (fromSpec.length > 0) {
    return fromSpec.map((text, index) => ({ text: text.trim(), field: `spec.loadBalancerSourceRanges[${index}]` }));
  }
  const annotation = service.metadata.annotations?.[SOURCE_RANGES_ANNOTATION]?.trim() ?? '';
  const field = annotationField(SOURCE_RANGES_ANNOTATION);
  return annotation === '' ? [] : annotation.split(',').map((text) => ({ text: text.trim(), field }));
}

function problemOf(text: string, field: string): Problem {
  const message =
    `${field} holds ${quoted(text)}, which is not a CIDR; write \`address/prefix-length\`, for example ` +
    '`192.0.2.0/24`. Nobody is let in until then.';
  return { code: 'InvalidSourceRange', message, field };
}
