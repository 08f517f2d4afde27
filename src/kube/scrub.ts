import type { Credentials } from './access.ts';

/** Shorter ones would be found in ordinary text. */
const SHORTEST = 6;

/**
 * Text that came back, without the credentials that went out: a server or a proxy may quote what it did not like, in
 * whatever form, and such text ends up in logs, events and conditions.
 */
export function withoutCredentials(text: string, { headers }: Pick<Credentials, 'headers'>): string {
  return secretsOf(headers['authorization'] ?? '').reduce(
    (rest, secret) => rest.replaceAll(secret, '[redacted]'),
    text,
  );
}

function secretsOf(authorization: string): readonly string[] {
  const [, scheme = '', value = ''] = /^(\S+)\s+(.*)$/.exec(authorization.trim()) ?? [];
  const isBasic = scheme.toLowerCase() === 'basic';
  const decoded = isBasic ? Buffer.from(value, 'base64').toString() : '';
  return [value, decoded, decoded.slice(decoded.indexOf(':') + 1)].filter((secret) => secret.length >= SHORTEST);
}
