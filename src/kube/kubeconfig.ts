import { accessSync, constants } from 'node:fs';
import type { RequestOptions } from 'node:https';
import type { Cluster, KubeConfig, User } from '@kubernetes/client-node';
import { BallastError } from '../errors.ts';
import { redactText } from '../telemetry/redact.ts';
import type { ClusterAccess, Credentials, TlsMaterial } from './access.ts';
import { plainAccess } from './plainkubeconfig.ts';

/**
 * Access by one context of kubeconfig files: users with tokens, client certificates, passwords, exec plugins and OIDC
 * all work, and are asked again for every request.
 *
 * Plain files are read by us. The client library does the others and is loaded only then: it costs 60 MB of memory, and
 * its configuration part alone costs the same, because that imports all generated APIs.
 * @param files One or more existing files; where they name the same thing, the first one wins, as with kubectl.
 * @param contextName Default: the files' `current-context`.
 * @throws BallastError `InvalidConfig` that names the file and the entry at fault.
 */
export async function kubeconfigAccess(files: readonly string[], contextName?: string): Promise<ClusterAccess> {
  const plain = await plainAccess(files, contextName);
  if (plain) return plain;
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  for (const file of files) {
    const next = new KubeConfig();
    try {
      next.loadFromFile(file);
    } catch (error) {
      // No cause: the parser's errors quote the lines around, tokens and all.
      throw invalid(`The kubeconfig ${file} cannot be used: ${firstLineOf(error)}.`);
    }
    addMissing(config, next);
  }
  const where = files.join(' and ');
  const name = contextName ?? config.getCurrentContext();
  if (!name) throw invalid(`The kubeconfig ${where} has no current-context; choose one of: ${contextNames(config)}.`);
  config.setCurrentContext(name);
  const { cluster, user, namespace } = currentEntries(config, name, where);
  checkServer(cluster, where);
  checkProxy(cluster, where);
  checkFiles(cluster, user, where);
  // The library refuses http:// unless told that there is no TLS to verify, which is then true.
  if (cluster.server.startsWith('http:'))
    config.clusters = config.clusters.map((each) => (each === cluster ? { ...each, skipTLSVerify: true } : each));
  const description = `context "${name}" of ${where}`;
  return {
    server: cluster.server,
    description,
    namespace,
    proxyUrl: cluster.proxyUrl || undefined,
    async credentials(): Promise<Credentials> {
      try {
        return await credentialsOf(config);
      } catch (error) {
        // No cause, and nothing that a program has written: tokens may be in it.
        const why = user.exec
          ? `the program ${user.exec.command} failed; run it by hand to see why`
          : firstLineOf(error);
        throw new BallastError('ApiForbidden', `No credentials from ${description}: ${why}.`);
      }
    },
  };
}

function addMissing(config: KubeConfig, next: KubeConfig): void {
  for (const cluster of next.getClusters()) if (!config.getCluster(cluster.name)) config.addCluster(cluster);
  for (const user of next.getUsers()) if (!config.getUser(user.name)) config.addUser(user);
  for (const context of next.getContexts()) if (!config.getContextObject(context.name)) config.addContext(context);
  if (!config.getCurrentContext() && next.getCurrentContext()) config.setCurrentContext(next.getCurrentContext());
}

interface Entries {
  readonly cluster: Cluster;
  readonly user: User;
  readonly namespace: string | undefined;
}

function currentEntries(config: KubeConfig, name: string, where: string): Entries {
  const context = config.getContextObject(name);
  if (!context) throw invalid(`The kubeconfig ${where} has no context "${name}"; it has: ${contextNames(config)}.`);
  const absent = (kind: string, missing: string): BallastError =>
    invalid(`Context "${name}" of ${where} names the ${kind} "${missing}", which is not there.`);
  const cluster = config.getCurrentCluster();
  if (!cluster) throw absent('cluster', context.cluster);
  const user = config.getCurrentUser();
  if (!user) throw absent('user', context.user);
  return { cluster, user, namespace: context.namespace };
}

function contextNames(config: KubeConfig): string {
  const names = config.getContexts().map((context) => `"${context.name}"`);
  return names.join(', ') || 'no context at all';
}

/** Credentials never travel in the clear, except to this machine (`kubectl proxy`). */
function checkServer(cluster: Cluster, where: string): void {
  const url = URL.parse(cluster.server);
  if (url && (url.username !== '' || url.password !== '')) {
    throw invalid(
      `Cluster "${cluster.name}" of ${where} has a user or a password in the URL of its server; give them to the user ` +
        '(username, password).',
    );
  }
  if (url?.protocol === 'https:') return;
  if (url?.protocol === 'http:' && ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname)) return;
  throw invalid(
    `Cluster "${cluster.name}" of ${where} has the server "${cluster.server}"; it must be an https:// URL ` +
      '(http:// only for a proxy on this machine).',
  );
}

function checkProxy({ name, proxyUrl }: Cluster, where: string): void {
  if (!proxyUrl || ['http:', 'https:', 'socks5:'].includes(URL.parse(proxyUrl)?.protocol ?? '')) return;
  throw invalid(
    `Cluster "${name}" of ${where} has the proxy-url "${redactText(proxyUrl)}"; it must be an http://, https:// or socks5:// URL.`,
  );
}

function checkFiles(cluster: Cluster, user: User, where: string): void {
  for (const file of [cluster.caFile, user.certFile, user.keyFile]) {
    if (!file) continue;
    try {
      accessSync(file, constants.R_OK);
    } catch (error) {
      throw invalid(`The file ${file}, which ${where} names, cannot be read.`, error);
    }
  }
}

async function credentialsOf(config: KubeConfig): Promise<Credentials> {
  const options: RequestOptions = {};
  await config.applyToHTTPSOptions(options);
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.headers ?? {})) headers[name.toLowerCase()] = String(value);
  if (options.auth) headers['authorization'] = `Basic ${Buffer.from(options.auth).toString('base64')}`;
  return { headers, tls: tlsOf(options) };
}

function tlsOf({ ca, cert, key, servername, rejectUnauthorized }: RequestOptions): TlsMaterial {
  return {
    ...pem('ca', ca),
    ...pem('cert', cert),
    ...pem('key', key),
    ...(servername === undefined ? {} : { servername }),
    ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
  };
}

function pem(name: 'ca' | 'cert' | 'key', value: unknown): TlsMaterial {
  return typeof value === 'string' || Buffer.isBuffer(value) ? { [name]: value } : {};
}

function invalid(message: string, cause?: unknown): BallastError {
  return new BallastError('InvalidConfig', message, { cause });
}

/** Of a parser's error, the rest quotes what it read; of JSON's, already the first line does. */
function firstLineOf(error: unknown): string {
  if (error instanceof SyntaxError) return 'something in it is no valid JSON';
  const [line = ''] = (error instanceof Error ? error.message : String(error)).trim().split('\n');
  return redactText(line).replace(/\.$/, '') || 'unknown reason';
}
