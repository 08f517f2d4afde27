import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { setInterval } from 'node:timers/promises';
import { BallastError, classify, isAbort } from '../errors.ts';
import type { Log } from './log.ts';

export interface CertificateFiles {
  /** PEM: the certificate, and what leads from it to its authority. */
  readonly certFile: string;
  /** PEM, not encrypted. */
  readonly keyFile: string;
}

export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** Secrets that are mounted change by a new link, which no watch tells reliably: the files are read this often. */
const RELOAD_MS = 10_000;

/**
 * Reads a certificate and its key.
 * @throws BallastError `InvalidConfig` that names the file; never with anything of what is in it.
 */
export async function readKeyPair({ certFile, keyFile }: CertificateFiles): Promise<KeyPair> {
  const [cert, key] = [await read(certFile, 'certificate'), await read(keyFile, 'key')];
  const certificate = parse(certFile, 'certificate', () => new X509Certificate(cert));
  const privateKey = parse(keyFile, 'unencrypted private key', () => createPrivateKey(key));
  if (!certificate.checkPrivateKey(privateKey)) throw invalid(`The key in ${keyFile} is not that of ${certFile}.`);
  parse(certFile, 'certificate that TLS can use', () => createSecureContext({ cert, key }));
  return { cert, key };
}

async function read(file: string, what: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw invalid(`The ${what} of the metrics server cannot be read: ${classify(error).message}.`);
  }
}

function parse<T>(file: string, what: string, make: () => T): T {
  try {
    return make();
  } catch {
    throw invalid(`${file} holds no ${what} in PEM form.`);
  }
}

function invalid(message: string): BallastError {
  return new BallastError('InvalidConfig', message, { field: 'metrics-tls-cert-file' });
}

export interface FollowOptions {
  readonly files: CertificateFiles;
  /** What is in use. */
  readonly current: KeyPair;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Default: 10 s. */
  readonly reloadMs?: number | undefined;
  readonly onChange: (pair: KeyPair) => void;
}

/** Tells every change of the files until the signal aborts. What cannot be used is told once and the old pair stays. */
export async function followKeyPair(options: FollowOptions): Promise<void> {
  const { files, log, signal, onChange, reloadMs = RELOAD_MS } = options;
  let { current } = options;
  let told = '';
  try {
    for await (const _ of setInterval(reloadMs, undefined, { signal })) {
      try {
        const next = await readKeyPair(files);
        told = '';
        if (next.cert === current.cert && next.key === current.key) continue;
        onChange(next);
        current = next;
        log.info({ ...files }, 'the metrics server has a new certificate');
      } catch (error) {
        const { message } = classify(error);
        if (message !== told) log.warn({ error }, 'the metrics server keeps its old certificate');
        told = message;
      }
    }
  } catch (error) {
    if (!isAbort(error)) throw error;
  }
}
