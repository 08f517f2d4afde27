/** What is in Ballast's image: the program, the packages that it needs, Node, `ip`, their libraries, and no more. */
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ImageFile } from './files.ts';
import { librariesOf } from './libraries.ts';
import { packageFiles, productionFolders } from './packages.ts';
import { run } from './run.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const MODULES = join(ROOT, 'node_modules');
/** Where the program lies in the image. */
const HOME = '/opt/ballast';
/** `ip` is in a folder that not everybody's PATH has. */
const SYSTEM_FOLDERS = ['/usr/sbin', '/sbin', '/usr/bin', '/bin'];

/** Who the image's program runs as, unless the pod says otherwise. */
export const USER = { uid: 65_532, gid: 65_532 } as const;

const ACCOUNTS: readonly ImageFile[] = [
  {
    path: '/etc/passwd',
    content: `root:x:0:0:root:/:/sbin/nologin\nballast:x:${USER.uid}:${USER.gid}::/:/sbin/nologin\n`,
  },
  { path: '/etc/group', content: `root:x:0:\nballast:x:${USER.gid}:\n` },
  { path: '/etc/nsswitch.conf', content: 'hosts: files dns\n' },
  { path: '/tmp', directory: true, mode: 0o1777 },
];

/** The layers: what a new version of Ballast leaves as it is comes first. Throws when the machine lacks something. */
export async function imageLayers(): Promise<readonly (readonly ImageFile[])[]> {
  const [runtime, packages, program] = await Promise.all([runtimeFiles(), dependencies(), compiledProgram()]);
  return [runtime, packages, program];
}

/** Node without its symbol tables, which take a sixth of it, iproute2's `ip`, and the libraries of both. */
async function runtimeFiles(): Promise<readonly ImageFile[]> {
  const node = join(MODULES, 'node/bin/node');
  const ip = findIp();
  return [
    ...ACCOUNTS,
    { path: '/usr/local/bin/node', content: await stripped(node), mode: 0o755 },
    { path: '/usr/local/bin/ip', source: ip, mode: 0o755 },
    ...(await librariesOf([node, ip])),
  ];
}

async function stripped(program: string): Promise<Buffer> {
  return inTemporaryFolder(async (folder) => {
    const output = join(folder, 'stripped');
    await run('strip', ['--strip-all', '-o', output, program], 'install binutils');
    return readFile(output);
  });
}

function findIp(): string {
  const folders = [...SYSTEM_FOLDERS, ...(process.env['PATH'] ?? '').split(delimiter)];
  for (const folder of folders) {
    if (existsSync(join(folder, 'ip'))) return join(folder, 'ip');
  }
  throw new Error('There is no `ip`: install iproute2');
}

async function dependencies(): Promise<readonly ImageFile[]> {
  const folders = productionFolders(await readFile(join(ROOT, 'package-lock.json'), 'utf8'));
  const files = await Promise.all(folders.map((folder) => packageFiles(ROOT, folder)));
  return files.flat().map((file) => ({ path: join(HOME, file), source: join(ROOT, file) }));
}

/** `npm run build` into a folder of its own, so that nobody's `dist` is in the way. */
async function compiledProgram(): Promise<readonly ImageFile[]> {
  const code = await inTemporaryFolder(async (folder) => {
    const options = ['-p', join(ROOT, 'tsconfig.build.json'), '--outDir', folder, '--sourceMap', 'false'];
    await run(join(MODULES, '.bin/tsc'), options, 'run `npm run setup`');
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
    return Promise.all(
      files.map(async (file) => ({
        path: join(HOME, 'dist', file.slice(folder.length)),
        content: await readFile(file),
      })),
    );
  });
  return [
    ...code,
    { path: join(HOME, 'package.json'), source: join(ROOT, 'package.json') },
    { path: join(HOME, 'LICENSE'), source: join(ROOT, 'LICENSE') },
    { path: '/usr/local/bin/ballast', source: join(ROOT, 'image/ballast'), mode: 0o755 },
  ];
}

async function inTemporaryFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'ballast-image-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}
