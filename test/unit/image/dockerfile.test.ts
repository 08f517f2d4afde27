import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { PATH } from '#image/archive';
import { imageLabels, RUNTIME } from '#image/ballast-image';

async function linesOf(name: string): Promise<readonly string[]> {
  return (await readFile(new URL(`../../../${name}`, import.meta.url), 'utf8')).split('\n');
}

const LOCK = z.object({ packages: z.object({ 'node_modules/node': z.object({ version: z.string() }) }) });

it('the Dockerfile starts the image as npm run image does', async () => {
  const lines = await linesOf('Dockerfile');
  const env = Object.entries({ PATH, ...RUNTIME.env }).map(([name, value]) => `${name}=${value}`);
  expect(lines).toContain(`ENV ${env.join(' ')}`);
  expect(lines).toContain(`USER ${RUNTIME.user}`);
  expect(lines).toContain(`ENTRYPOINT ${JSON.stringify(RUNTIME.entrypoint)}`);
});

it('the Dockerfile labels the image as npm run image does', async () => {
  const labels = Object.entries(await imageLabels()).map(([name, value]) => `${name}=${value}`);
  expect(await linesOf('Dockerfile')).toContain(`LABEL ${labels.join(' ')}`);
});

it('the Dockerfile names the exact version of the Node.js that the lock file has', async () => {
  const { packages } = LOCK.parse(JSON.parse((await linesOf('package-lock.json')).join('\n')));
  const bases = (await linesOf('Dockerfile')).filter((line) => line.startsWith('FROM '));
  expect(bases).toEqual([`FROM node:${packages['node_modules/node'].version}-bookworm AS build`, 'FROM scratch']);
});
