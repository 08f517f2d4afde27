import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheRoot } from '../control-plane/binary-cache.ts';
import { CertificateAuthority, type KeyPair } from './pki.ts';

/**
 * The self-signed certificate of the test workload's TLS server. It is made once and kept in the cache: with a new one
 * each time, the workload's image would never be the same twice.
 */
export async function agnhostCertificate(): Promise<KeyPair> {
  const folder = join(cacheRoot(process.env), 'agnhost-certificate');
  if (!existsSync(folder)) {
    const draft = `${folder}.${randomUUID()}.draft`;
    try {
      await new CertificateAuthority(draft).create('agnhost');
      await rename(draft, folder);
    } catch (error) {
      if (!existsSync(folder)) throw error; // Otherwise another process was faster.
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
  }
  const { certificate, key } = new CertificateAuthority(folder);
  return { certificate, key };
}
