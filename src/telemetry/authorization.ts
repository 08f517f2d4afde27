/** Who may ask the metrics server, as far as HTTP goes; `kube/tokenauthorizer.ts` knows what tokens are worth. */
import { isIP } from 'node:net';

/** What came of looking at a token. Everything but `allowed` is a refusal. */
export type Verdict =
  | { readonly kind: 'allowed' }
  /** Nobody's token. */
  | { readonly kind: 'unauthenticated' }
  /** Somebody's, who may not. */
  | { readonly kind: 'forbidden'; readonly user: string }
  /** It cannot be told now. */
  | { readonly kind: 'unavailable'; readonly why: string }
  /** Too many tokens are being looked at. */
  | { readonly kind: 'busy'; readonly retryAfterSeconds: number };

/** Whether the bearer of the token may GET the path. Never rejects. */
export type Authorize = (token: string, path: string, signal: AbortSignal) => Promise<Verdict>;

/** What is known of who asks; Node's IncomingMessage. */
export interface Asker {
  readonly socket: { readonly remoteAddress?: string | undefined; readonly localAddress?: string | undefined };
  readonly headers: { readonly host?: string | undefined; readonly authorization?: string | undefined };
}

/** The token of `Authorization: Bearer …` (RFC 6750, section 2.1); undefined when there is none. */
export function bearerToken({ headers }: Pick<Asker, 'headers'>): string | undefined {
  return /^Bearer +([A-Za-z0-9._~+/-]+=*)$/i.exec(headers.authorization?.trim() ?? '')?.[1];
}

/**
 * Whether somebody on this machine asks, in the same network namespace: by its loopback address, or by another of its
 * own addresses, which the kernel then takes for both ends. A browser can be made to ask for a stranger's page
 * (DNS rebinding), so the name that is asked for must be an address or `localhost`.
 */
export function asksFromHere({ socket, headers }: Asker): boolean {
  const { remoteAddress: remote = '', localAddress: local = '' } = socket;
  const peer = remote.replace(/^::ffff:/, '');
  const isHere = peer.startsWith('127.') || peer === '::1' || (remote !== '' && remote === local);
  const name = URL.parse(`http://${headers.host ?? ''}`)?.hostname.replace(/^\[(.*)\]$/, '$1') ?? '';
  return isHere && (isIP(name) !== 0 || name === 'localhost');
}
