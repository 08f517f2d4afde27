import type { Service } from '../kube/wire.ts';
import { KNOWN_ANNOTATIONS, PREFIX, SETTINGS, SETTING_PARSERS, type SettingName } from './annotations.ts';
import type { MemberSettings } from './model.ts';
import { nearest } from './nearest.ts';
import { annotationField, quoted, type Problem, type Reading } from './problem.ts';

const NAMES: readonly SettingName[] = Object.keys(SETTINGS).filter((key): key is SettingName => key in SETTINGS);

/** The settings that the Service's annotations ask for. One that the provider ignores is refused, not swallowed. */
export function readSettings(service: Service, honoured: readonly SettingName[]): Reading<MemberSettings> {
  let value: MemberSettings = {};
  const problems: Problem[] = [];
  for (const name of NAMES) {
    const { annotation, form } = SETTINGS[name];
    const text = service.metadata.annotations?.[annotation];
    if (text === undefined) continue;
    const field = annotationField(annotation);
    const parsed = SETTING_PARSERS[name](text.trim());
    if (!honoured.includes(name)) {
      const message = `The provider of this Service does not support the annotation ${annotation}; remove it.`;
      problems.push({ code: 'InvalidAnnotation', message, field });
    } else if (parsed === undefined) {
      const message = `The annotation ${annotation} is ${quoted(text)}; write ${form}, or remove it.`;
      problems.push({ code: 'InvalidAnnotation', message, field });
    } else {
      value = { ...value, ...parsed };
    }
  }
  return { value, problems };
}

/** So many mistyped annotations are named, each with a guess at what was meant; the others are counted. */
const NAMED = 5;
const KNOWN_SUFFIXES = KNOWN_ANNOTATIONS.map((known) => known.slice(PREFIX.length));

/** Sentences about the annotations under our prefix that mean nothing; they do no harm, but are surely mistyped. */
export function unknownAnnotations(service: Service): readonly string[] {
  const unknown = Object.keys(service.metadata.annotations ?? {})
    .filter((key) => key.startsWith(PREFIX) && !KNOWN_ANNOTATIONS.includes(key))
    .sort();
  const named = unknown.slice(0, NAMED).map((key) => {
    const meant = nearest(key.slice(PREFIX.length), KNOWN_SUFFIXES);
    return `The annotation ${key} is unknown${meant === undefined ? ' and does nothing.' : `; did you mean ${PREFIX}${meant}?`}`;
  });
  const rest = unknown.length - named.length;
  return rest > 0 ? [...named, `${rest} more annotations under ${PREFIX} are unknown.`] : named;
}
