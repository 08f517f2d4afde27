/** `metav1.MicroTime`: RFC 3339 in UTC with exactly six digits after the point, which the API server insists on. */
export function microTime(date: Date): string {
  return date.toISOString().replace('Z', '000Z');
}
