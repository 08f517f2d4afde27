/**
 * Makes `node_modules` match `package-lock.json`. Every npm script that needs a package runs this first, so that a
 * fresh clone needs no other step. Plain JavaScript for whatever Node starts it (20 or newer): the project's own Node
 * is one of the packages that it installs, and the commands after it in the same npm script find that one first in
 * PATH.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** In `node_modules`: the lock file's SHA-256 as of the last complete installation. */
const RECORD = '.ballast-lock-hash';

/** @param {string} root Folder of package.json. @returns {boolean} whether there is nothing to do. */
function isCurrent(root, hash) {
  const modules = join(root, 'node_modules');
  const record = join(modules, RECORD);
  if (!existsSync(record) || !existsSync(join(modules, '.bin', 'node'))) return false;
  return readFileSync(record, 'utf8') === hash;
}

/** The PATH without this project's programs: npm must not run by the very Node that it is about to remove. */
function pathWithoutModules(root) {
  const modules = join(root, 'node_modules') + sep;
  const folders = (process.env.PATH ?? '').split(delimiter);
  return folders.filter((folder) => !`${folder}${sep}`.startsWith(modules)).join(delimiter);
}

/** Installs exactly what the lock file says; returns why it failed, or undefined. */
function install(root) {
  // Development packages are named, because NODE_ENV=production would leave them out.
  const npm = spawnSync('npm', ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    env: { ...process.env, PATH: pathWithoutModules(root) },
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (npm.error) return `npm could not be run: ${npm.error.message}. Install Node 20 or newer with npm.`;
  if (npm.status !== 0) return `npm ci failed (${npm.signal ?? `code ${npm.status}`}):\n${npm.stderr || npm.stdout}`;
  const node = join(root, 'node_modules', '.bin', 'node');
  const version = spawnSync(node, ['--version'], { encoding: 'utf8' });
  if (version.status === 0) return undefined;
  return (
    `There is no working Node in node_modules now (${version.error?.message ?? version.stderr}). The package \`node\` ` +
    'fetches it in an install script: check that npm may run it (`npm config get ignore-scripts`).'
  );
}

const root = fileURLToPath(new URL('..', import.meta.url));
const hash = createHash('sha256')
  .update(readFileSync(join(root, 'package-lock.json')))
  .digest('hex');
if (!isCurrent(root, hash)) {
  const record = join(root, 'node_modules', RECORD);
  const startedAt = performance.now();
  process.stderr.write('Installing the packages of package-lock.json with npm (usually 5 to 60 s) ... ');
  rmSync(record, { force: true });
  const failure = install(root);
  if (failure !== undefined) {
    process.stderr.write(`failed.\n${failure}\n`);
    process.exit(1);
  }
  writeFileSync(record, hash);
  process.stderr.write(`done in ${Math.round((performance.now() - startedAt) / 1000)} s.\n`);
}
