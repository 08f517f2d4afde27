#!/usr/bin/env node
/** The composition root: the only file that knows which providers there are. */
import { readFileSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import { PROVIDERS } from '#providers/registry';
import { runCli } from './cli/program.ts';

const exitCode = await runCli(process.argv.slice(2), {
  providers: PROVIDERS,
  env: process.env,
  version: ownVersion(),
  stdout: (text) => process.stdout.write(text),
  stderr: (text) => process.stderr.write(text),
});
// Nothing that is still open may keep the process: what had to end has ended.
process.exit(exitCode);

/** From package.json, which lies one folder up from the sources and two from the build. */
function ownVersion(): string {
  const path = findPackageJSON('..', import.meta.url);
  const content: unknown = path === undefined ? {} : JSON.parse(readFileSync(path, 'utf8'));
  const version = typeof content === 'object' && content !== null && 'version' in content ? content.version : undefined;
  if (typeof version !== 'string') throw new Error(`no version in ${path ?? 'package.json'}`);
  return version;
}
