import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './run.ts';

/** A certificate and its key, as files. */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

export interface Subject {
  readonly commonName: string;
  /** The groups of a client, in Kubernetes' reading. */
  readonly organization?: string;
}

const DAYS = '3650';
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'] as const;

/** A certificate authority in a folder of its own; elliptic keys, because a lab makes many and waits for each. */
export class CertificateAuthority {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  get certificate(): string {
    return join(this.#directory, 'ca.crt');
  }

  get key(): string {
    return join(this.#directory, 'ca.key');
  }

  /** The files of a certificate that was issued under this name. */
  pair(name: string): KeyPair {
    return { certificate: join(this.#directory, `${name}.crt`), key: join(this.#directory, `${name}.key`) };
  }

  /** Makes the authority's own key and certificate. */
  async create(commonName: string): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const config = await this.#config('ca', { commonName }, ['basicConstraints=critical,CA:TRUE']);
    await run([...requestCommand(config), '-keyout', this.key, '-out', this.certificate]);
  }

  /** A certificate for a server with these names, as openssl writes them: `DNS:…` or `IP:…`. */
  async issueServer(name: string, subject: Subject, names: readonly string[]): Promise<KeyPair> {
    return this.#issue(name, subject, ['extendedKeyUsage=serverAuth', `subjectAltName=${names.join(',')}`]);
  }

  /** A certificate for a client. */
  async issueClient(name: string, subject: Subject): Promise<KeyPair> {
    return this.#issue(name, subject, ['extendedKeyUsage=clientAuth']);
  }

  async #issue(name: string, subject: Subject, extensions: readonly string[]): Promise<KeyPair> {
    const pair = this.pair(name);
    const config = await this.#config(name, subject, ['basicConstraints=critical,CA:FALSE', ...extensions]);
    const authority = ['-CA', this.certificate, '-CAkey', this.key];
    await run([...requestCommand(config), ...authority, '-keyout', pair.key, '-out', pair.certificate]);
    return pair;
  }

  async #config(name: string, subject: Subject, extensions: readonly string[]): Promise<string> {
    const file = join(this.#directory, `${name}.cnf`);
    const organization = subject.organization === undefined ? [] : [`O = ${subject.organization}`];
    const lines = ['[req]', 'prompt = no', 'distinguished_name = dn', 'x509_extensions = ext'];
    lines.push('[dn]', ...organization, `CN = ${subject.commonName}`, '[ext]', ...extensions);
    await writeFile(file, `${lines.join('\n')}\n`);
    return file;
  }
}

/** Makes a key pair for signing ServiceAccount tokens. */
export async function createSigningKey(file: string): Promise<void> {
  await run(['openssl', 'ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', file]);
}

function requestCommand(config: string): readonly string[] {
  return ['openssl', 'req', '-x509', '-config', config, '-days', DAYS, ...NEW_KEY];
}
