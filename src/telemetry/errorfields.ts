/**
 * What the log keeps of an error: an allow-list, because errors of libraries carry requests, responses and headers.
 * `cause` and `errors` (of an AggregateError) are the raw values, for the caller to treat the same way.
 */
export function errorFields(error: Error): Record<string, unknown> {
  const kept: Record<string, unknown> = { name: error.name, message: error.message };
  for (const name of ['code', 'kind', 'field', 'retryAfterMs'] as const) {
    const value: unknown = Reflect.get(error, name);
    if (typeof value === 'string' || typeof value === 'number') kept[name] = value;
  }
  kept['stack'] = error.stack;
  if (error.cause !== undefined) kept['cause'] = error.cause;
  if (error instanceof AggregateError) kept['errors'] = error.errors;
  return kept;
}
