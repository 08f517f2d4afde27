import { agnhostCertificate } from './agnhost-certificate.ts';
import { LabError } from './errors.ts';
import { buildImage, type ImageFile } from './image.ts';
import { findProgram } from './packages.ts';
import { run } from './run.ts';

/** Upstream's test image under the name that upstream's tests use; `netexec` in it serves HTTP and UDP. */
export const AGNHOST_IMAGE = 'registry.k8s.io/e2e-test-images/agnhost:2.63.0';
/** The image of the container that holds a pod's namespaces. */
export const PAUSE_IMAGE = 'registry.k8s.io/pause:3.10.2';

/** A self-signed certificate and its key in the image, for a `netexec` with TLS. */
export const AGNHOST_CERTIFICATE = '/localhost.crt';
export const AGNHOST_KEY = '/localhost.key';

/** Makes the images that every node starts with; returns the archives. `binaries` are paths by program name. */
export async function buildLabImages(binaries: ReadonlyMap<string, string>): Promise<readonly string[]> {
  return [await buildPause(binaryPath(binaries, 'pause')), await buildAgnhost(binaryPath(binaries, 'agnhost'))];
}

/** The path of a program that was resolved before. */
function binaryPath(binaries: ReadonlyMap<string, string>, name: string): string {
  const path = binaries.get(name);
  if (path === undefined) throw new LabError(`The program ${name} was not resolved`);
  return path;
}

async function buildPause(pause: string): Promise<string> {
  const files: readonly ImageFile[] = [{ path: '/pause', source: pause, mode: 0o755 }];
  return buildImage({ name: PAUSE_IMAGE, files, entrypoint: ['/pause'], user: '65535:65535' });
}

/** agnhost with a shell and the usual small programs (busybox), as upstream's image has. */
async function buildAgnhost(agnhost: string): Promise<string> {
  const busybox = (await findProgram('/bin/busybox')) ?? (await findProgram('/usr/bin/busybox'));
  if (busybox === undefined) throw new LabError('There is no /bin/busybox; install the package busybox-static');
  const applets = (await run([busybox, '--list'])).stdout.trim().split('\n');
  const { certificate, key } = await agnhostCertificate();
  const files: readonly ImageFile[] = [
    { path: '/agnhost', source: agnhost, mode: 0o755 },
    { path: '/bin/busybox', source: busybox, mode: 0o755 },
    ...applets
      .filter((applet) => applet !== 'busybox')
      .map((applet) => ({ path: `/bin/${applet}`, linkTo: '/bin/busybox' })),
    { path: '/tmp', directory: true, mode: 0o1777 },
    { path: '/uploads', directory: true },
    { path: '/root', directory: true },
    { path: '/etc/passwd', content: 'root:x:0:0:root:/root:/bin/sh\n' },
    { path: '/etc/group', content: 'root:x:0:\n' },
    { path: '/etc/nsswitch.conf', content: 'hosts: files dns\n' },
    { path: AGNHOST_CERTIFICATE, source: certificate },
    { path: AGNHOST_KEY, source: key },
  ];
  return buildImage({ name: AGNHOST_IMAGE, files, entrypoint: ['/agnhost'], command: ['pause'] });
}
