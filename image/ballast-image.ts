import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { writeImage, type ImageArchive, type ImageOptions } from './archive.ts';
import { imageLayers, USER } from './contents.ts';

/** As `manifests/` name it. */
export const IMAGE_NAME = 'ballast:dev';

/** How the image starts; `Dockerfile` says the same. */
export const RUNTIME: Pick<ImageOptions, 'entrypoint' | 'user' | 'env'> = {
  entrypoint: ['/usr/local/bin/ballast'],
  user: `${USER.uid}:${USER.gid}`,
  env: { NODE_ENV: 'production' },
};

/** What the image says about itself; `Dockerfile` says the same. */
export async function imageLabels(): Promise<Readonly<Record<string, string>>> {
  const content: unknown = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'));
  const { version, license } = z.object({ version: z.string(), license: z.string() }).parse(content);
  return {
    'org.opencontainers.image.title': 'ballast',
    'org.opencontainers.image.version': version,
    'org.opencontainers.image.licenses': license,
  };
}

/** Makes Ballast's image; the archive lies in `folder`. */
export async function writeBallastImage(folder: string, name: string = IMAGE_NAME): Promise<ImageArchive> {
  return writeImage(
    { name, layers: await imageLayers(), ...RUNTIME, labels: await imageLabels(), compressed: true },
    folder,
  );
}
