import { setTimeout as delay } from 'node:timers/promises';
import { type ApiClient, ApiRequestError } from './api-request.ts';

const TOKEN_SECONDS = 3600;
/** The API server makes the namespace `default` soon after it says it is ready. */
const NAMESPACE_TIMEOUT_MS = 120_000;

/** A token of the ServiceAccount, good for an hour (TokenRequest of authentication.k8s.io/v1). */
export async function requestToken(client: ApiClient, namespace: string, name: string): Promise<string> {
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
  const { status } = await client.request<{ status: { token: string } }>('POST', path, {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: { expirationSeconds: TOKEN_SECONDS },
  });
  return status.token;
}

/**
 * Creates `default/default` unless it is there: without it the ServiceAccount admission refuses every Pod, and the
 * controller that makes it may not run.
 */
export async function createDefaultServiceAccount(client: ApiClient, signal: AbortSignal | undefined): Promise<void> {
  const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default' } };
  const deadline = performance.now() + NAMESPACE_TIMEOUT_MS;
  for (;;) {
    try {
      await client.request('POST', '/api/v1/namespaces/default/serviceaccounts', account);
      return;
    } catch (error) {
      if (!(error instanceof ApiRequestError)) throw error;
      if (error.status === 409) return;
      if (error.status !== 404 || performance.now() > deadline) throw error;
      await delay(50, undefined, signal && { signal });
    }
  }
}
