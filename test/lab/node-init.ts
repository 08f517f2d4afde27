import type { NodeDirectory } from './directory.ts';
import { NODE_FILES } from './directory.ts';
import { CONTAINERD_SOCKET, NODE_CNI_FOLDER, NODE_PROGRAM_FOLDER } from './node-config.ts';

/** A program to be seen in a node, from wherever it lies on the host. */
export interface BoundProgram {
  readonly source: string;
  readonly folder: 'bin' | 'cni-bin';
  readonly name: string;
}

export interface NodeInitOptions {
  readonly name: string;
  readonly directory: NodeDirectory;
  /** Folders of the cgroup that the daemons join, in each hierarchy. */
  readonly cgroups: readonly string[];
  readonly programs: readonly BoundProgram[];
  readonly snapshotter: 'overlayfs' | 'native';
  readonly kubeletFlags: readonly string[];
  readonly kubeProxyFlags: readonly string[];
}

/**
 * The machine-wide settings that kubelet writes, and what they are on a freshly set up node. Private files lie over
 * them, so that kubelet finds what it wants and the host keeps what it has.
 */
export const SHADOWED_SYSCTLS: Readonly<Record<string, string>> = {
  'vm/overcommit_memory': '1',
  'vm/panic_on_oom': '0',
  'kernel/panic': '10',
  'kernel/panic_on_oops': '1',
  'kernel/keys/root_maxkeys': '1000000',
  'kernel/keys/root_maxbytes': '25000000',
};

/** In `NodeDirectory.files`: appears when the API server answers, so that kubelet need not fail first. */
export const API_READY = 'api-ready';
/** In `NodeDirectory.files`: appears when all daemons are started and all images there. */
export const BOOTED = 'booted';

/** Seconds that the first process waits for containerd and for the API server. */
const PATIENCE_SECONDS = 120;

/**
 * The script that is a node's first process: it arranges the mounts, starts the daemons and reaps what they leave.
 * All daemons share its mount namespace; with it they see their own /var, /tmp and /run.
 */
export function nodeInitScript(options: NodeInitOptions): string {
  const { name, directory, cgroups, programs, snapshotter, kubeletFlags, kubeProxyFlags } = options;
  const files = directory.files;
  const bind = (source: string, target: string): string => `mount --bind ${quote(source)} ${quote(target)}`;
  return `#!/bin/bash
set -e
${cgroups.map((folder) => `echo 0 > ${quote(`${folder}/cgroup.procs`)}`).join('\n')}
mount --make-rshared /
# What lies below /var or /tmp on the host is bound first, because both are about to disappear behind the node's own.
${programs.map(({ source, folder, name: program }) => bind(source, `${files}/${folder}/${program}`)).join('\n')}
mount --rbind ${quote(directory.var)} /var
mount --bind ${NODE_FILES}/tmp /tmp
cd /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/netns /run/lock
${Object.keys(SHADOWED_SYSCTLS)
  .map((path) => bind(`${NODE_FILES}/sysctl/${path}`, `/proc/sys/${path}`))
  .join('\n')}
hostname ${quote(name)}
export PATH=${NODE_PROGRAM_FOLDER}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export CONTAINERD_ADDRESS=${CONTAINERD_SOCKET} CONTAINERD_NAMESPACE=k8s.io CNI_PATH=${NODE_CNI_FOLDER}

until_true() { # what, command…
  local what=$1; shift
  for ((try = 0; try < ${PATIENCE_SECONDS * 20}; try++)); do "$@" && return; sleep 0.05; done
  echo "Waited ${PATIENCE_SECONDS} s for $what" >&2
  exit 1
}
answers() { ctr version >/dev/null 2>&1; }

containerd --config ${NODE_FILES}/containerd.toml >> /var/log/containerd.log 2>&1 &
until_true containerd answers
for archive in ${NODE_FILES}/images/*.tar; do
  [ -e "$archive.imported" ] && continue
  ctr images import --local --snapshotter ${snapshotter} "$archive"
  touch "$archive.imported"
done
until_true 'the API server' test -e ${NODE_FILES}/${API_READY}
kubelet ${kubeletFlags.map(quote).join(' ')} >> /var/log/kubelet.log 2>&1 &
kube-proxy ${kubeProxyFlags.map(quote).join(' ')} >> /var/log/kube-proxy.log 2>&1 &
touch ${NODE_FILES}/${BOOTED}

# Orphans of the node become children of this process; without a wait they would stay as zombies.
set +e
while :; do wait -n; sleep 0.2; done
`;
}

/** A word of a shell command. */
function quote(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
