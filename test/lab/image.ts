import { join } from 'node:path';
import { writeImage, type ImageOptions as AnyImage } from '#image/archive';
import type { ImageFile } from '#image/files';
import { cacheRoot } from '../control-plane/binary-cache.ts';

export type { ImageFile } from '#image/files';

/** An image of one layer. */
export interface ImageOptions extends Omit<AnyImage, 'layers'> {
  /** Everything in the image; absolute paths. Two entries may not have the same path. */
  readonly files: readonly ImageFile[];
}

/** Makes an image without a daemon or a registry, for `loadImage`. Returns the path of the archive, in the cache. */
export async function buildImage({ files, ...options }: ImageOptions): Promise<string> {
  const { path } = await writeImage({ ...options, layers: [files] }, imageFolder());
  return path;
}

/** Where archives of images are kept. */
export function imageFolder(): string {
  return join(cacheRoot(process.env), 'images');
}
