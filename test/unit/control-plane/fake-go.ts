import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BinarySpec } from '../../control-plane/binary-spec.ts';

/** A `go` that writes a small script in no time and keeps a list of what it was asked for. */
export interface FakeGo {
  readonly env: NodeJS.ProcessEnv;
  /** `CGO_ENABLED=0 build … package`, one per build. */
  builds(): string[];
}

const SCRIPT = `#!/bin/sh
[ "$1" = version ] && exit 0
echo "CGO_ENABLED=$CGO_ENABLED $*" >> "$FAKE_GO_LOG"
while [ $# -gt 0 ]; do
  [ "$1" = -o ] && out=$2
  [ "$1" = example.test/broken ] && { echo "half" > "$out"; echo "broken.go:1: syntax error" >&2; exit 1; }
  shift
done
sleep 0.2
echo built > "$out"
`;

/** Puts the fake into the folder; the programs go to `cache` in it. */
export function installFakeGo(folder: string): FakeGo {
  const bin = join(folder, 'bin');
  const log = join(folder, 'go.log');
  mkdirSync(bin);
  writeExecutable(join(bin, 'go'), SCRIPT);
  return {
    env: { PATH: `${bin}:/usr/bin:/bin`, BALLAST_CACHE: join(folder, 'cache'), FAKE_GO_LOG: log },
    builds: () => (existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : []),
  };
}

export function writeExecutable(path: string, content: string): void {
  writeFileSync(path, content);
  chmodSync(path, 0o755);
}

/** A program of an upstream that does not exist. */
export function tinySpec(name: string, more: Partial<BinarySpec> = {}): BinarySpec {
  return {
    name,
    upstream: 'tiny',
    version: 'v1.2.3',
    build: {
      kind: 'go',
      module: '/',
      package: `example.test/${name}`,
      ldflags: '-s -w',
      seconds: { cold: 100, warm: 10 },
    },
    versionArguments: ['--version'],
    ...more,
  };
}
