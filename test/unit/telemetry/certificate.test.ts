/** The metrics server with TLS. */
import { copyFile, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type PeerCertificate, type TLSSocket } from 'node:tls';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { ListenAddress } from '#src/telemetry/httpserver';
import { readKeyPair, type CertificateFiles } from '#src/telemetry/certificate';
import { createAuthority, issueCertificate, type KeyPair } from '#test/control-plane/certificates';
import { temporaryFolder } from '../control-plane/temporary-folder.ts';
import { rawAnswer, serveMetrics } from './metrics-server.ts';

/** openssl takes its time on a busy machine. */
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let authority: KeyPair;
let first: KeyPair;
let second: KeyPair;
let ca: string;
let made: string;
beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ballast-unit-'));
  made = folder;
  authority = await createAuthority(folder, 'test');
  const request = { hosts: ['127.0.0.1'], usage: 'serverAuth' } as const;
  first = await issueCertificate(authority, folder, { ...request, name: 'first', commonName: 'first' });
  second = await issueCertificate(authority, folder, { ...request, name: 'second', commonName: 'second' });
  ca = await readFile(authority.certificatePath, 'utf8');
});

afterAll(() => rm(made, { recursive: true, force: true }));

/** The files of a server, with this pair in them. */
async function filesOf(pair: KeyPair): Promise<CertificateFiles> {
  const folder = temporaryFolder();
  const files = { certFile: join(folder, 'tls.crt'), keyFile: join(folder, 'tls.key') };
  await copyFile(pair.certificatePath, files.certFile);
  await copyFile(pair.keyPath, files.keyFile);
  return files;
}

/** As the kubelet does it: each file is there whole, or not yet. */
async function replace(files: CertificateFiles, pair: KeyPair): Promise<void> {
  for (const [from, to] of [
    [pair.certificatePath, files.certFile],
    [pair.keyPath, files.keyFile],
  ] as const) {
    await copyFile(from, `${to}.new`);
    await rename(`${to}.new`, to);
  }
}

async function open({ host, port }: ListenAddress, options: object = {}): Promise<TLSSocket> {
  const socket = connect({ host, port, ca, ...options });
  onTestFinished(() => void socket.destroy());
  await once(socket, 'secureConnect');
  return socket;
}

async function nameOf(address: ListenAddress): Promise<string | string[] | undefined> {
  const socket = await open(address);
  const certificate: PeerCertificate = socket.getPeerCertificate();
  socket.destroy();
  return certificate.subject.CN;
}

describe('the certificate of the metrics server', () => {
  it('is shown, and nothing is answered without TLS', async () => {
    const { address } = await serveMetrics({ tls: await filesOf(first) });
    const socket = await open(address);
    socket.write('GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
    const answer = await once(socket, 'data');
    expect(String(answer[0])).toMatch(/^HTTP\/1.1 200 /);
    expect(await rawAnswer(address, 'GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n')).not.toContain('HTTP/1.1 200');
  });

  it('is taken anew when the files change; open connections stay', async () => {
    const files = await filesOf(first);
    const { address, captured } = await serveMetrics({ tls: files, tlsReloadMs: 20 });
    const old = await open(address);
    expect(await nameOf(address)).toBe('first');
    await replace(files, second);
    await expect.poll(() => nameOf(address), { timeout: 25_000 }).toBe('second');
    expect(old.closed).toBe(false);
    expect(captured.lines).toContainEqual(expect.objectContaining({ msg: 'the metrics server has a new certificate' }));
  });

  it('stays when the files make no sense, which is told once and without what is in them', async () => {
    const files = await filesOf(first);
    const { address, captured } = await serveMetrics({ tls: files, tlsReloadMs: 20 });
    const warnings = (): number => captured.lines.filter(({ level }) => level === 'warn').length;
    await writeFile(files.keyFile, 'SECRET-OF-THE-KEY');
    await expect.poll(warnings, { timeout: 25_000 }).toBe(1);
    await copyFile(second.keyPath, files.keyFile);
    await expect.poll(warnings, { timeout: 25_000 }).toBe(2);
    expect(await nameOf(address)).toBe('first');
    expect(captured.text()).toContain(`The key in ${files.keyFile} is not that of ${files.certFile}.`);
    expect(captured.text()).not.toContain('SECRET-OF-THE-KEY');
    await replace(files, second);
    await expect.poll(() => nameOf(address), { timeout: 25_000 }).toBe('second');
    expect(warnings()).toBe(2);
  });

  it('takes no version of TLS before 1.2', async () => {
    const { address } = await serveMetrics({ tls: await filesOf(first) });
    const older = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' };
    await expect(open(address, older)).rejects.toThrow(/protocol|alert|ssl/i);
  });

  it('drops who begins no handshake', async () => {
    const { address } = await serveMetrics({ tls: await filesOf(first), headersTimeoutMs: 200 });
    expect(await rawAnswer(address, '')).not.toContain('HTTP');
  });

  it.each([
    [
      'a file that is not there',
      (files: CertificateFiles) => ({ ...files, certFile: '/nonexistent/tls.crt' }),
      /ENOENT/,
    ],
    [
      'a key in the place of the certificate',
      ({ keyFile }: CertificateFiles) => ({ keyFile, certFile: keyFile }),
      /no certificate/,
    ],
    [
      'a certificate in the place of the key',
      ({ certFile }: CertificateFiles) => ({ certFile, keyFile: certFile }),
      /no unencrypted private key/,
    ],
  ])('is refused at the start: %s', async (_, wrong, message) => {
    const files = wrong(await filesOf(first));
    await expect(readKeyPair(files)).rejects.toMatchObject({
      code: 'InvalidConfig',
      message: expect.stringMatching(message),
    });
  });
});
