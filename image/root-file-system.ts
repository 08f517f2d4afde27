import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { layerEntries, type ImageFile } from './files.ts';

/** Lays the files of an image out in a folder that is not there yet. */
export async function writeRootFileSystem(layers: readonly (readonly ImageFile[])[], folder: string): Promise<void> {
  await mkdir(folder);
  for (const entry of await layerEntries(layers.flat())) {
    const path = join(folder, entry.path);
    await mkdir(dirname(path), { recursive: true });
    if (entry.kind === 'symlink') await symlink(entry.target, path);
    else {
      if (entry.kind === 'directory') await mkdir(path, { recursive: true });
      else await writeFile(path, entry.content);
      // The mode that creating takes is cut by the umask.
      await chmod(path, entry.mode);
    }
  }
}
