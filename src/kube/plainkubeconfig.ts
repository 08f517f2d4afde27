/**
 * Kubeconfigs that say everything themselves, which most do: a server and a token or a client certificate. Reading
 * those here keeps the client library out of the process, which costs it 60 MB and half a second of every start.
 */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parseDocument } from 'yaml';
import { BallastError, classify } from '../errors.ts';
import type { ClusterAccess, Credentials } from './access.ts';

type Fields = Readonly<Record<string, unknown>>;

/** What is read here; whatever has a field beyond these is the library's business. */
const CLUSTER_FIELDS: ReadonlySet<string> = new Set([
  'server',
  'certificate-authority',
  'certificate-authority-data',
  'tls-server-name',
  'extensions',
]);
const USER_FIELDS: ReadonlySet<string> = new Set([
  'token',
  'client-certificate',
  'client-certificate-data',
  'client-key',
  'client-key-data',
]);

/** A file or an entry of one, and the folder that its paths start from. */
interface Entry {
  readonly fields: Fields;
  readonly folder: string;
}

/**
 * Access by a context of these files; undefined where they hold anything that is not plain, or wrong: the library then
 * does it, and says what is wrong. Files and contexts as for `kubeconfigAccess`.
 */
export async function plainAccess(
  files: readonly string[],
  contextName: string | undefined,
): Promise<ClusterAccess | undefined> {
  const configs: Entry[] = [];
  for (const file of files) {
    const fields = await parsed(file);
    if (!fields) return undefined;
    configs.push({ fields, folder: dirname(file) });
  }
  const name = contextName ?? configs.map(({ fields }) => fields['current-context']).find(isName);
  const find = (list: string, kind: string, wanted: unknown): Entry | undefined =>
    findEntry(configs, list, kind, wanted);
  const context = find('contexts', 'context', name)?.fields;
  const cluster = find('clusters', 'cluster', context?.['cluster']);
  const user = find('users', 'user', context?.['user']);
  if (!context || !cluster || !user || !isPlain(cluster, CLUSTER_FIELDS) || !isPlain(user, USER_FIELDS))
    return undefined;
  const server = cluster.fields['server'];
  const url = isName(server) ? URL.parse(server) : null;
  if (!isName(server) || url?.protocol !== 'https:' || url.username !== '' || url.password !== '') return undefined;
  const { namespace } = context;
  const credentials = credentialsOf(cluster, user);
  try {
    credentials();
  } catch {
    return undefined;
  }
  const description = `context "${name}" of ${files.join(' and ')}`;
  return {
    server: server.replace(/\/$/, ''),
    description,
    namespace: isName(namespace) ? namespace : undefined,
    proxyUrl: undefined,
    async credentials() {
      try {
        return credentials();
      } catch (error) {
        const message = `No credentials from ${description}: ${classify(error).message}.`;
        throw new BallastError('ApiForbidden', message, { cause: error });
      }
    },
  };
}

async function parsed(file: string): Promise<Fields | undefined> {
  try {
    // Without the warnings that the reader would send to the process.
    const document = parseDocument(await readFile(file, 'utf8'), { logLevel: 'error' });
    if (document.errors.length + document.warnings.length > 0) return undefined;
    const content: unknown = document.toJS();
    return isFields(content) ? content : undefined;
  } catch {
    return undefined;
  }
}

/** The first entry of this name over all files. */
function findEntry(configs: readonly Entry[], list: string, kind: string, name: unknown): Entry | undefined {
  if (!isName(name)) return undefined;
  for (const { fields, folder } of configs) {
    const entries = fields[list];
    const found = (Array.isArray(entries) ? entries : []).find((each) => isFields(each) && each['name'] === name);
    const inner: unknown = isFields(found) ? found[kind] : undefined;
    if (isFields(inner)) return { fields: inner, folder };
    if (found !== undefined) return undefined;
  }
  return undefined;
}

function isPlain({ fields }: Entry, known: ReadonlySet<string>): boolean {
  return Object.entries(fields).every(([name, value]) => known.has(name) && (name === 'extensions' || isName(value)));
}

/** Files are read for every request, because they are replaced under us. */
function credentialsOf(cluster: Entry, user: Entry): () => Credentials {
  const ca = material(cluster, 'certificate-authority');
  const cert = material(user, 'client-certificate');
  const key = material(user, 'client-key');
  const token = user.fields['token'];
  const servername = cluster.fields['tls-server-name'];
  return () => ({
    headers: isName(token) ? { authorization: `Bearer ${token}` } : {},
    tls: {
      ...present('ca', ca()),
      ...present('cert', cert()),
      ...present('key', key()),
      ...(isName(servername) && { servername }),
    },
  });
}

/** The PEM that a file holds or that stands in the config; a file comes first. */
function material({ fields, folder }: Entry, name: string): () => Buffer | undefined {
  const file = fields[name];
  if (isName(file)) return () => readFileSync(resolve(folder, file));
  const data = fields[`${name}-data`];
  const decoded = isName(data) ? Buffer.from(data, 'base64') : undefined;
  return () => decoded;
}

function present(name: 'ca' | 'cert' | 'key', value: Buffer | undefined): Credentials['tls'] {
  return value ? { [name]: value } : {};
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
