import {
  CLUSTER_CIDR,
  controlPlaneAddress,
  DNS_SERVICE,
  type Family,
  inOrder,
  type PerFamily,
  podCidrs,
} from './addresses.ts';
import { NODE_FILES } from './directory.ts';
import { PAUSE_IMAGE } from './lab-images.ts';
import { cgroupName } from './names.ts';
import type { ProxyMode } from './state.ts';

/** What a node's configuration depends on. */
export interface NodeConfigInput {
  readonly lab: string;
  readonly name: string;
  readonly index: number;
  readonly families: readonly Family[];
  readonly addresses: PerFamily;
  readonly proxyMode: ProxyMode;
  readonly snapshotter: 'overlayfs' | 'native';
}

export const CONTAINERD_SOCKET = '/run/containerd/containerd.sock';
/** Folder of the programs, as the node sees it. */
export const NODE_PROGRAM_FOLDER: string = `${NODE_FILES}/bin`;
export const NODE_CNI_FOLDER: string = `${NODE_FILES}/cni-bin`;
const CNI_CONFIG_FOLDER = `${NODE_FILES}/cni`;
/** containerd's plug-ins for file systems and devices that a lab's host need not have. */
const UNUSED_PLUGINS = [
  'io.containerd.snapshotter.v1.blockfile',
  'io.containerd.snapshotter.v1.btrfs',
  'io.containerd.snapshotter.v1.devmapper',
  'io.containerd.snapshotter.v1.erofs',
  'io.containerd.snapshotter.v1.zfs',
  'io.containerd.nri.v1.nri',
  'io.containerd.tracing.processor.v1.otlp',
];

/** The files of a node's daemons, by path below `NODE_FILES`. */
export function nodeConfigFiles(input: NodeConfigInput): Readonly<Record<string, string>> {
  return {
    'containerd.toml': containerdConfig(input),
    // JSON is YAML.
    'kubelet.yaml': JSON.stringify(kubeletConfig(input), null, 2),
    'cni/10-lab.conflist': JSON.stringify(cniConfig(input), null, 2),
    'resolv.conf': `nameserver ${controlPlaneAddress(input.families)}\n`,
  };
}

function containerdConfig({ snapshotter }: NodeConfigInput): string {
  return `version = 3
disabled_plugins = ${JSON.stringify(UNUSED_PLUGINS)}
[grpc]
  address = "${CONTAINERD_SOCKET}"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "${snapshotter}"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "${PAUSE_IMAGE}"
[plugins.'io.containerd.cri.v1.runtime']
  disable_apparmor = true
  restrict_oom_score_adj = true
  # As containerd 1 and CRI-O have it: a pod that needs ports below 1024 has to say so.
  enable_unprivileged_ports = false
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["${NODE_CNI_FOLDER}"]
    conf_dir = "${CNI_CONFIG_FOLDER}"
  [plugins.'io.containerd.cri.v1.runtime'.containerd]
    default_runtime_name = "runc"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
        BinaryName = "${NODE_PROGRAM_FOLDER}/runc"
        SystemdCgroup = false
`;
}

/** KubeletConfiguration v1beta1. Timings stay upstream's, so that what tests see of them is what users see. */
function kubeletConfig({ lab, name, families }: NodeConfigInput): object {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: families.includes('IPv6') ? '::' : '0.0.0.0',
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: `${NODE_FILES}/ca.crt` },
    },
    authorization: { mode: 'Webhook' },
    failCgroupV1: false,
    failSwapOn: false,
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${cgroupName(lab, name)}`,
    enforceNodeAllocatable: [],
    containerRuntimeEndpoint: `unix://${CONTAINERD_SOCKET}`,
    clusterDNS: families.map((family) => DNS_SERVICE[family]),
    clusterDomain: 'cluster.local',
    resolvConf: `${NODE_FILES}/resolv.conf`,
    // The disk is the host's: its filling up is no reason to evict pods, and images never come back once collected.
    evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '1%', 'imagefs.available': '1%' },
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
    kubeAPIQPS: 100,
    kubeAPIBurst: 200,
    serializeImagePulls: false,
  };
}

/** A route and a veth pair per pod; no address translation, so that sources stay visible. */
function cniConfig({ families, index }: NodeConfigInput): object {
  const cidrs = inOrder(families, podCidrs(families, index));
  const everywhere = { IPv4: '0.0.0.0/0', IPv6: '::/0' } as const;
  return {
    cniVersion: '1.0.0',
    name: 'lab',
    plugins: [
      {
        type: 'ptp',
        ipMasq: false,
        mtu: 1500,
        ipam: {
          type: 'host-local',
          dataDir: '/run/cni-addresses',
          ranges: cidrs.map((subnet) => [{ subnet }]),
          routes: families.map((family) => ({ dst: everywhere[family] })),
        },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  };
}

export function kubeletFlags({ name, families, addresses }: NodeConfigInput): readonly string[] {
  return [
    `--config=${NODE_FILES}/kubelet.yaml`,
    `--kubeconfig=${NODE_FILES}/kubelet.kubeconfig`,
    `--hostname-override=${name}`,
    `--node-ip=${inOrder(families, addresses).join(',')}`,
    '--v=2',
  ];
}

export function kubeProxyFlags({ name, families, proxyMode }: NodeConfigInput): readonly string[] {
  return [
    `--kubeconfig=${NODE_FILES}/kube-proxy.kubeconfig`,
    `--hostname-override=${name}`,
    `--proxy-mode=${proxyMode}`,
    `--cluster-cidr=${families.map((family) => CLUSTER_CIDR[family]).join(',')}`,
    `--healthz-bind-address=${families.includes('IPv6') ? '[::]' : '0.0.0.0'}:10256`,
    // The size of the connection table belongs to the machine, not to a namespace of it.
    '--conntrack-max-per-core=0',
    '--conntrack-min=0',
  ];
}
