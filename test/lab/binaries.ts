import { fileURLToPath } from 'node:url';
import type { BinarySpec, BuildSeconds } from '../control-plane/binary-spec.ts';
import {
  CONTROL_PLANE_BINARIES,
  KUBERNETES_MODULE,
  KUBERNETES_VERSION,
  kubernetesBinary,
} from '../control-plane/kubernetes-binaries.ts';

const CONTAINERD_MODULE = fileURLToPath(new URL('./modules/containerd', import.meta.url));
const COREDNS_MODULE = fileURLToPath(new URL('./modules/coredns', import.meta.url));
const CONTAINERD_VERSION = 'v2.4.2';

const CNI_KINDS = { ptp: 'main', loopback: 'main', 'host-local': 'ipam', portmap: 'meta' } as const;
const CNI_SECONDS: BuildSeconds = { cold: 5, warm: 1 };

/** The plug-ins that connect pods; containerd looks for them in one folder. */
export const CNI_PLUGINS = ['ptp', 'loopback', 'host-local', 'portmap'] as const;
/** The programs that a node runs, besides runc. */
export const NODE_PROGRAMS = ['containerd', 'containerd-shim-runc-v2', 'ctr', 'kubelet', 'kube-proxy'] as const;

const KUBELET = kubernetesBinary('kubelet', { seconds: { cold: 200, warm: 31 }, versionArguments: ['--version'] });

const AGNHOST = kubernetesBinary('agnhost', { seconds: { cold: 120, warm: 8 }, package: 'test/images/agnhost' });

/** The program in the image that holds a pod's namespaces open. Its version is the image's. */
const PAUSE: BinarySpec = {
  name: 'pause',
  upstream: 'kubernetes',
  version: KUBERNETES_VERSION,
  build: {
    kind: 'c',
    module: KUBERNETES_MODULE,
    sourceModule: 'k8s.io/kubernetes',
    sourceFile: 'build/pause/linux/pause.c',
    flags: ['-Os', '-Wall', '-static', `-DVERSION=${KUBERNETES_VERSION}`],
    seconds: { cold: 1, warm: 1 },
  },
};

const CONTAINERD: readonly BinarySpec[] = ['containerd', 'containerd-shim-runc-v2', 'ctr'].map((name) => ({
  name,
  upstream: 'containerd',
  version: CONTAINERD_VERSION,
  build: {
    kind: 'go',
    module: CONTAINERD_MODULE,
    package: `github.com/containerd/containerd/v2/cmd/${name}`,
    ldflags: `-s -w -X github.com/containerd/containerd/v2/version.Version=${CONTAINERD_VERSION}`,
    seconds: { cold: 80, warm: 10 },
  },
}));

/** Static, as upstream's own releases are: whoever takes it from the cache needs no libseccomp. */
const RUNC: BinarySpec = {
  name: 'runc',
  upstream: 'runc',
  version: 'v1.5.1',
  build: {
    kind: 'go',
    module: CONTAINERD_MODULE,
    package: 'github.com/opencontainers/runc',
    ldflags: '-s -w -extldflags -static',
    tags: ['seccomp', 'netgo', 'osusergo'],
    cgo: true,
    seconds: { cold: 15, warm: 15 },
  },
};

const CNI: readonly BinarySpec[] = CNI_PLUGINS.map((name) => ({
  name,
  upstream: 'cni-plugins',
  version: 'v1.9.1',
  build: {
    kind: 'go',
    module: CONTAINERD_MODULE,
    package: `github.com/containernetworking/plugins/plugins/${CNI_KINDS[name]}/${name}`,
    ldflags: '-s -w',
    seconds: CNI_SECONDS,
  },
}));

const COREDNS: BinarySpec = {
  name: 'coredns',
  upstream: 'coredns',
  version: 'v1.15.0',
  build: {
    kind: 'go',
    module: COREDNS_MODULE,
    package: '.',
    ldflags: '-s -w',
    seconds: { cold: 54, warm: 54 },
  },
};

/** Every program of a lab, in the order that builds fastest. */
export const LAB_BINARIES: readonly BinarySpec[] = [
  ...CONTROL_PLANE_BINARIES,
  KUBELET,
  AGNHOST,
  PAUSE,
  ...CONTAINERD,
  ...CNI,
  RUNC,
  COREDNS,
];

/** Those whose build needs more of the operating system than Go. */
export const C_BINARIES: readonly BinarySpec[] = [PAUSE, RUNC];
