import { fileURLToPath } from 'node:url';
import type { BinaryDownload, BinarySpec, BuildSeconds, Platform } from './binary-spec.ts';
import { ETCD_SHA256, KUBERNETES_SHA256 } from './checksums.ts';

/** The Kubernetes version of every program and every API that the tests meet. */
export const KUBERNETES_VERSION = 'v1.36.3';
/** The etcd version that goes with it. */
export const ETCD_VERSION = 'v3.6.6';

/** Folder of the Go module that pins Kubernetes. */
export const KUBERNETES_MODULE: string = fileURLToPath(new URL('./modules/kubernetes', import.meta.url));
const ETCD_MODULE = fileURLToPath(new URL('./modules/etcd', import.meta.url));

interface KubernetesProgram {
  readonly seconds: BuildSeconds;
  /** Import path below `k8s.io/kubernetes`; default `cmd/<name>`. */
  readonly package?: string;
  readonly versionArguments?: readonly string[];
}

/** A program of the Kubernetes release; the lab makes its own rows with it (kubelet, kube-scheduler, agnhost). */
export function kubernetesBinary(name: string, program: KubernetesProgram): BinarySpec {
  const download = kubernetesDownload(name);
  return {
    name,
    upstream: 'kubernetes',
    version: KUBERNETES_VERSION,
    build: {
      kind: 'go',
      module: KUBERNETES_MODULE,
      package: `k8s.io/kubernetes/${program.package ?? `cmd/${name}`}`,
      ldflags: kubernetesLdflags(KUBERNETES_VERSION),
      seconds: program.seconds,
    },
    ...(download && { download }),
    ...(program.versionArguments && { versionArguments: program.versionArguments }),
  };
}

/** What upstream's release build stamps into its programs, as far as anything reads it. */
function kubernetesLdflags(version: string): string {
  const [major = '', minor = ''] = version.slice(1).split('.');
  const stamps = { gitVersion: version, gitMajor: major, gitMinor: minor, gitTreeState: 'clean' };
  const flags = Object.entries(stamps).map(([key, value]) => `-X k8s.io/component-base/version.${key}=${value}`);
  return ['-s -w', ...flags].join(' ');
}

function kubernetesDownload(name: string): BinaryDownload | undefined {
  const sha256 = KUBERNETES_SHA256[name];
  if (!sha256) return undefined;
  return { sha256, url: ({ os, arch }) => `https://dl.k8s.io/${KUBERNETES_VERSION}/bin/${os}/${arch}/${name}` };
}

/** The name of etcd's release archive and of the folder in it. */
function etcdRelease({ os, arch }: Platform): string {
  return `etcd-${ETCD_VERSION}-${os}-${arch}`;
}

export const ETCD: BinarySpec = {
  name: 'etcd',
  upstream: 'etcd',
  version: ETCD_VERSION,
  build: {
    kind: 'go',
    module: ETCD_MODULE,
    package: 'go.etcd.io/etcd/server/v3',
    ldflags: '-s -w',
    seconds: { cold: 43, warm: 43 },
  },
  download: {
    url: (platform) =>
      `https://github.com/etcd-io/etcd/releases/download/${ETCD_VERSION}/${etcdRelease(platform)}.tar.gz`,
    sha256: ETCD_SHA256,
    archiveMember: (platform) => `${etcdRelease(platform)}/etcd`,
  },
  versionArguments: ['--version'],
};

export const KUBE_APISERVER: BinarySpec = kubernetesBinary('kube-apiserver', {
  seconds: { cold: 193, warm: 60 },
  versionArguments: ['--version'],
});

export const KUBECTL: BinarySpec = kubernetesBinary('kubectl', {
  seconds: { cold: 90, warm: 20 },
  versionArguments: ['version', '--client'],
});

export const KUBE_CONTROLLER_MANAGER: BinarySpec = kubernetesBinary('kube-controller-manager', {
  seconds: { cold: 200, warm: 48 },
  versionArguments: ['--version'],
});

export const KUBE_SCHEDULER: BinarySpec = kubernetesBinary('kube-scheduler', {
  seconds: { cold: 150, warm: 10 },
  versionArguments: ['--version'],
});

export const KUBE_PROXY: BinarySpec = kubernetesBinary('kube-proxy', {
  seconds: { cold: 120, warm: 10 },
  versionArguments: ['--version'],
});

/** Everything that makes a control plane and drives it, in the order that builds fastest. */
export const CONTROL_PLANE_BINARIES: readonly BinarySpec[] = [
  ETCD,
  KUBE_APISERVER,
  KUBECTL,
  KUBE_CONTROLLER_MANAGER,
  KUBE_SCHEDULER,
  KUBE_PROXY,
];
