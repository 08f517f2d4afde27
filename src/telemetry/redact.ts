import { errorFields } from './errorfields.ts';

const CENSOR = '[redacted]';

/** Deeper structures than any of our fields; the rest is cut, so that a surprising object cannot flood the log. */
const DEEPEST = 12;

/** Names, without case, `-` and `_`, of fields whose values are credentials. */
const SECRET_NAMES: ReadonlySet<string> = new Set([
  'authorization',
  'proxyauthorization',
  'cookie',
  'setcookie',
  'token',
  'accesstoken',
  'idtoken',
  'refreshtoken',
  'bearertoken',
  'sessiontoken',
  'xamzsecuritytoken',
  'password',
  'passwd',
  'secret',
  'clientsecret',
  'secretkey',
  'secretaccesskey',
  'privatekey',
  'clientkeydata',
  'keydata',
]);

/**
 * A copy of `value` that is fit for the log: credentials by field name are replaced, errors become plain fields
 * (`errorFields`), cycles and great depths are cut. Never changes what it is given.
 */
export function redactFields(value: object): Record<string, unknown> {
  const copy = copyOf(value, []);
  return isRecord(copy) ? copy : { value: copy };
}

/** Names whose values are credentials also where they stand in text: `token=…`, `"password": "…"`. */
const NAMED = /\b(token|password|passwd|client-key-data|client[-_]secret|secret[-_]?access[-_]?key)\b/.source;
/** In JSON within JSON, there are backslashes before a quote. */
const QUOTE = /(?:\\{0,15}["'])?/.source;
const VALUE = new RegExp(`${NAMED}(${QUOTE}\\s{0,9}[:=]\\s{0,9}${QUOTE})[^\\s"'\\\\,;&}]{6,}`, 'gi');

/**
 * Replaces what looks like a credential inside text: `Bearer …` and `Basic …` values, JSON Web Tokens, user and
 * password of URLs, private keys, and values behind telling names. Takes time in proportion to the text, whatever it is.
 */
export function redactText(text: string): string {
  return text
    .replace(/:\/\/[^\s/?#@"'\\]{1,256}@/g, `://${CENSOR}@`)
    .replace(/-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-]{0,16384}/g, CENSOR)
    .replace(/\bLS0tLS1CRUdJTi[A-Za-z0-9+/=]{16,}/g, CENSOR)
    .replace(VALUE, `$1$2${CENSOR}`)
    .replace(/\b(Bearer)(\s+|%20)[A-Za-z0-9._~+/=-]{8,}/gi, `$1$2${CENSOR}`)
    .replace(/\b(Basic)(\s+|%20)[A-Za-z0-9+/=]{16,}/gi, `$1$2${CENSOR}`)
    .replace(/(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*/g, CENSOR);
}

function copyOf(value: unknown, ancestors: readonly object[]): unknown {
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'object' || value === null) return value;
  if (ancestors.includes(value)) return '[circular]';
  if (ancestors.length >= DEEPEST) return '[too deep]';
  const inside = [...ancestors, value];
  if (Array.isArray(value)) return value.map((item) => copyOf(item, inside));
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (value instanceof Map) return copyOf(Object.fromEntries(value), inside);
  if (value instanceof Set) return copyOf([...value], inside);
  if (value instanceof Error) return copyOfEntries(errorFields(value), inside);
  if ('toJSON' in value && typeof value.toJSON === 'function') return copyOf(value.toJSON(), inside);
  return copyOfEntries(value, inside);
}

function copyOfEntries(value: object, ancestors: readonly object[]): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, isSecret(name, item) ? CENSOR : copyOf(item, ancestors)]),
  );
}

/** Numbers and flags are no credentials: `token: 3` stays. */
function isSecret(name: string, value: unknown): boolean {
  return (
    SECRET_NAMES.has(name.toLowerCase().replace(/[-_]/g, '')) &&
    (typeof value === 'string' || (typeof value === 'object' && value !== null))
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
