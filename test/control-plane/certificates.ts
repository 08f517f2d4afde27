import { generateKeyPairSync } from 'node:crypto';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { rm, writeFile } from 'node:fs/promises';
import { isMissingProgram, runOrThrow } from './run-command.ts';

const VALID_DAYS = '30';

/** A certificate and its private key, both PEM files. */
export interface KeyPair {
  readonly certificatePath: string;
  readonly keyPath: string;
}

export interface CertificateRequest {
  /** Base name of the files. */
  readonly name: string;
  readonly commonName: string;
  /** Kubernetes reads a client's groups from here. */
  readonly organizations?: readonly string[];
  /** DNS names and IP addresses that a server answers by; none for a client. */
  readonly hosts?: readonly string[];
  readonly usage: 'serverAuth' | 'clientAuth';
}

/** Makes a self-signed certificate authority in the folder. */
export async function createAuthority(folder: string, commonName: string): Promise<KeyPair> {
  const pair = pathsOf(folder, 'ca');
  await writePrivateKey(pair.keyPath);
  const config = await writeConfig(folder, 'ca', [
    'basicConstraints=critical,CA:TRUE',
    'keyUsage=critical,keyCertSign,cRLSign,digitalSignature',
    'subjectKeyIdentifier=hash',
  ]);
  const request = ['-new', '-x509', '-sha256', '-days', VALID_DAYS, '-config', config, '-extensions', 'extensions'];
  await openssl('req', ...request, '-subj', subject(commonName), '-key', pair.keyPath, '-out', pair.certificatePath);
  await rm(config);
  return pair;
}

/** Makes a key and a certificate that the authority signs. */
export async function issueCertificate(
  authority: KeyPair,
  folder: string,
  request: CertificateRequest,
): Promise<KeyPair> {
  const pair = pathsOf(folder, request.name);
  const signingRequest = join(folder, `${request.name}.csr`);
  await writePrivateKey(pair.keyPath);
  const names = (request.hosts ?? []).map((host) => `${isIP(host) ? 'IP' : 'DNS'}:${host}`);
  const config = await writeConfig(folder, request.name, [
    'basicConstraints=critical,CA:FALSE',
    'keyUsage=critical,digitalSignature',
    `extendedKeyUsage=${request.usage}`,
    ...(names.length > 0 ? [`subjectAltName=${names.join(',')}`] : []),
  ]);
  const owner = subject(request.commonName, request.organizations);
  await openssl('req', '-new', '-config', config, '-subj', owner, '-key', pair.keyPath, '-out', signingRequest);
  const signer = ['-CA', authority.certificatePath, '-CAkey', authority.keyPath, '-set_serial', serialNumber()];
  const extensions = ['-extfile', config, '-extensions', 'extensions'];
  const signing = ['-req', '-sha256', '-days', VALID_DAYS, ...signer, ...extensions, '-in', signingRequest];
  await openssl('x509', ...signing, '-out', pair.certificatePath);
  await Promise.all([rm(config), rm(signingRequest)]);
  return pair;
}

/** Writes a new P-256 key as PEM: for a certificate, or to sign ServiceAccount tokens with. */
export async function writePrivateKey(path: string): Promise<void> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  await writeFile(path, privateKey.export({ type: 'sec1', format: 'pem' }), { mode: 0o600 });
}

function pathsOf(folder: string, name: string): KeyPair {
  return { certificatePath: join(folder, `${name}.crt`), keyPath: join(folder, `${name}.key`) };
}

/** A configuration of our own, so that the machine's openssl.cnf changes nothing and need not exist. */
async function writeConfig(folder: string, name: string, extensions: readonly string[]): Promise<string> {
  const path = join(folder, `${name}.cnf`);
  const lines = ['[req]', 'distinguished_name=name', '[name]', '[extensions]', ...extensions];
  await writeFile(path, `${lines.join('\n')}\n`);
  return path;
}

function subject(commonName: string, organizations: readonly string[] = []): string {
  return [...organizations.map((name) => `/O=${name}`), `/CN=${commonName}`].join('');
}

function serialNumber(): string {
  const random = crypto.getRandomValues(new Uint8Array(8));
  return `0x01${Buffer.from(random).toString('hex')}`;
}

async function openssl(...args: string[]): Promise<void> {
  try {
    await runOrThrow('openssl', args);
  } catch (error) {
    if (!isMissingProgram(error)) throw error;
    throw new Error('There is no `openssl` in PATH; install it (Debian: apt-get install openssl).', { cause: error });
  }
}
