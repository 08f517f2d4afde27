import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { PATH } from '#image/archive';
import { RUNTIME } from '#image/ballast-image';

it('the Dockerfile starts the image as npm run image does', async () => {
  const lines = (await readFile(new URL('../../../Dockerfile', import.meta.url), 'utf8')).split('\n');
  const env = Object.entries({ PATH, ...RUNTIME.env }).map(([name, value]) => `${name}=${value}`);
  expect(lines).toContain(`ENV ${env.join(' ')}`);
  expect(lines).toContain(`USER ${RUNTIME.user}`);
  expect(lines).toContain(`ENTRYPOINT ${JSON.stringify(RUNTIME.entrypoint)}`);
});
