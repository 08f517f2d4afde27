/** What the API server itself says that a client asked it. */
import { open, stat } from 'node:fs/promises';
import type { ControlPlane } from '#test/control-plane/control-plane';

/** One request of Ballast. */
export interface AuditedRequest {
  /** `list`, `watch`, `get`, `create`, `patch`, `update`, `delete`. */
  readonly verb: string;
  /** `services`, `services/status`, `events`, … */
  readonly resource: string;
}

interface AuditEvent {
  readonly stage: string;
  readonly verb: string;
  readonly userAgent?: string;
  readonly objectRef?: { readonly resource?: string; readonly subresource?: string };
}

/** A place in the audit log: what comes after it is new. */
export async function auditPosition({ auditLogPath }: ControlPlane): Promise<number> {
  return (await stat(auditLogPath)).size;
}

/** What Ballast has asked since, in order; a watch as soon as it has begun, everything else once it was answered. */
export async function requestsSince(plane: ControlPlane, position: number): Promise<readonly AuditedRequest[]> {
  const file = await open(plane.auditLogPath);
  try {
    const requests: AuditedRequest[] = [];
    for await (const line of file
      .createReadStream({ start: position, encoding: 'utf8', autoClose: false })
      .compose(lines)) {
      const request = requestOf(String(line));
      if (request) requests.push(request);
    }
    return requests;
  } finally {
    await file.close();
  }
}

async function* lines(chunks: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of chunks) {
    const all = (rest + chunk).split('\n');
    // The API server may be in the middle of the last one.
    rest = all.pop() ?? '';
    yield* all;
  }
}

function requestOf(line: string): AuditedRequest | undefined {
  // Most lines are of others; parsing them all would take longer than what is measured.
  if (!line.includes('"userAgent":"ballast/')) return undefined;
  const { stage, verb, objectRef = {} }: AuditEvent = JSON.parse(line);
  const { resource = '', subresource } = objectRef;
  if (stage !== (verb === 'watch' ? 'ResponseStarted' : 'ResponseComplete')) return undefined;
  return { verb, resource: subresource === undefined ? resource : `${resource}/${subresource}` };
}

/** Those about the objects that Ballast works on, without the Lease and the watches, which go on by themselves. */
export function workOf(requests: readonly AuditedRequest[]): readonly AuditedRequest[] {
  return requests.filter(({ verb, resource }) => verb !== 'watch' && resource !== 'leases');
}
