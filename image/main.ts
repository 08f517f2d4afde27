/**
 * `npm run image`: Ballast's image as an archive, without docker.
 *
 *   docker load -i FILE, podman load -i FILE, kind load image-archive FILE, ctr -n k8s.io images import FILE
 */
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { IMAGE_NAME, writeBallastImage } from './ballast-image.ts';
import { imageLayers } from './contents.ts';
import { writeRootFileSystem } from './root-file-system.ts';

const HELP = `npm run image [-- options]

  --output FILE     where the archive goes (default ballast.tar)
  --name NAME:TAG   name of the image (default ${IMAGE_NAME})
  --rootfs FOLDER   only lay the image's files out in a new folder, as the Dockerfile does
  --help            this text
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      output: { type: 'string', default: 'ballast.tar' },
      name: { type: 'string', default: IMAGE_NAME },
      rootfs: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) process.stdout.write(HELP);
  else if (values.rootfs !== undefined) await writeRootFileSystem(await imageLayers(), values.rootfs);
  else await writeArchive(values.name, values.output);
}

async function writeArchive(name: string, output: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'ballast-image-'));
  try {
    const { path, digest, size } = await writeBallastImage(folder, name);
    await copyFile(path, output);
    const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
    process.stdout.write(`${output}: ${name}@${digest}\n`);
    process.stdout.write(`${mebibytes(size.packed)} compressed, ${mebibytes(size.unpacked)} on a node\n`);
  } finally {
    await rm(folder, { recursive: true });
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`The image was not made: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
