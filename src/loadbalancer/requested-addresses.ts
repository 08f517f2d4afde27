import type { Service } from '../kube/wire.ts';
import { mayAskFor, type AddressGrant } from './address-grant.ts';
import { ADDRESSES_ANNOTATION } from './annotations.ts';
import { parseIp, type IpAddress } from './ip.ts';
import type { WantedFamily } from './model.ts';
import { annotationField, quoted, type Problem, type Reading } from './problem.ts';

const ANNOTATION_FIELD = annotationField(ADDRESSES_ANNOTATION);
const SPEC_FIELD = 'spec.loadBalancerIP';

/** More entries than anybody means; they are not even read. */
const MOST = 10;

/**
 * The addresses that the Service asks for, at most one of each of its families: the annotation, or
 * `spec.loadBalancerIP`. Where both are set, the annotation must name the spec's address too. The Service's namespace
 * must be granted each.
 */
export function readRequestedAddresses(
  service: Service,
  families: readonly WantedFamily[],
  grants: readonly AddressGrant[],
): Reading<readonly IpAddress[]> {
  const asked = readList(service.metadata.annotations?.[ADDRESSES_ANNOTATION], ANNOTATION_FIELD);
  const legacy = readList(service.spec?.loadBalancerIP, SPEC_FIELD);
  const problems = [...asked.problems, ...legacy.problems];
  const value = asked.value.length > 0 ? asked.value : legacy.value;
  const field = asked.value.length > 0 ? ANNOTATION_FIELD : SPEC_FIELD;

  const unnamed = legacy.value.find(({ text }) => !value.some((address) => address.text === text));
  if (unnamed) {
    problems.push(
      invalid(
        ANNOTATION_FIELD,
        `${ANNOTATION_FIELD} and ${SPEC_FIELD} (${unnamed.text}) ask for different addresses; remove one of them.`,
      ),
    );
  }
  for (const [index, { family, text }] of value.entries()) {
    if (value.findIndex((other) => other.family === family) < index) {
      problems.push(invalid(field, `${field} asks for two ${family} addresses; keep one of each family.`));
    }
    if (!families.some((wanted) => wanted.family === family)) {
      problems.push(
        invalid(field, `${field} asks for ${text}, but ${family} is not in spec.ipFamilies; add it there.`),
      );
    }
  }
  const { namespace = '' } = service.metadata;
  const forbidden = value.filter((address) => !mayAskFor(address, namespace, grants));
  if (forbidden.length > 0) {
    const message =
      `Services of the namespace ${namespace} may not ask for ${forbidden.map(({ text }) => text).join(' and ')}; ` +
      'ask for none, or ask the operator to allow it with `--allow-address`.';
    problems.push({ code: 'AddressNotAllowed', message, field });
  }
  return { value, problems };
}

/** The field by which the Service asks for addresses; undefined when it asks for none. */
export function addressesFieldOf({ metadata, spec }: Service): string | undefined {
  if (metadata.annotations?.[ADDRESSES_ANNOTATION]?.trim()) return ANNOTATION_FIELD;
  return spec?.loadBalancerIP?.trim() ? SPEC_FIELD : undefined;
}

function readList(text: string | undefined, field: string): Reading<readonly IpAddress[]> {
  const value: IpAddress[] = [];
  const problems: Problem[] = [];
  if (text === undefined || text.trim() === '') return { value, problems };
  const parts = text.split(',', MOST + 1).map((entry) => entry.trim());
  if (parts.length > MOST) {
    problems.push(invalid(field, `${field} holds more than ${MOST} entries; keep one address of each family.`));
    return { value, problems };
  }
  for (const part of parts) {
    const address = parseIp(part);
    if (address === undefined) {
      problems.push(invalid(field, `${field} holds ${quoted(part)}, which is not an IP address; correct it.`));
    } else if (!value.some((other) => other.text === address.text)) {
      value.push(address);
    }
  }
  return { value, problems };
}

function invalid(field: string, message: string): Problem {
  return { code: 'InvalidAnnotation', message, field };
}
