/** Nodes as kubelet registers them: of the size that real ones have, so that lists and watches cost what they cost. */
import type { Driver } from './driver.ts';

/** KEP-589: kubelet writes a status at least this often where nothing changes. */
export const HEARTBEAT_SECONDS = 300;

export function nodeName(index: number): string {
  return `node-${String(index).padStart(5, '0')}`;
}

/** Creates the nodes from number `first` on. */
export async function createNodes(driver: Driver, first: number, count: number): Promise<void> {
  await driver.each(count, (index) => driver.send('POST', '/api/v1/nodes', node(first + index)));
}

/** What kubelet writes of a node where nothing has changed: the times of its conditions. */
export async function heartbeat(driver: Driver, index: number): Promise<void> {
  const path = `/api/v1/nodes/${nodeName(index)}/status`;
  await driver.send('PATCH', path, { status: { conditions: conditions(new Date().toISOString()) } });
}

function node(index: number): object {
  const name = nodeName(index);
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      labels: {
        'kubernetes.io/hostname': name,
        'kubernetes.io/os': 'linux',
        'kubernetes.io/arch': 'amd64',
        'node.kubernetes.io/instance-type': 'm7g.2xlarge',
        'topology.kubernetes.io/region': 'eu-central-1',
        'topology.kubernetes.io/zone': `eu-central-1${'abc'[index % 3]}`,
      },
      annotations: {
        'node.alpha.kubernetes.io/ttl': '0',
        'volumes.kubernetes.io/controller-managed-attach-detach': 'true',
      },
    },
    spec: {
      podCIDR: `10.${128 + (index >> 8)}.${index & 255}.0/24`,
      providerID: `aws:///eu-central-1a/i-${index.toString(16).padStart(17, '0')}`,
    },
    status: {
      addresses: [
        { type: 'InternalIP', address: `172.${16 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}` },
        { type: 'Hostname', address: name },
      ],
      capacity: RESOURCES,
      allocatable: RESOURCES,
      conditions: conditions('2026-01-01T00:00:00Z'),
      nodeInfo: {
        machineID: index.toString(16).padStart(32, '0'),
        systemUUID: index.toString(16).padStart(32, '0'),
        bootID: index.toString(16).padStart(32, '0'),
        kernelVersion: '6.12.40',
        osImage: 'Debian GNU/Linux 13 (trixie)',
        containerRuntimeVersion: 'containerd://2.1.4',
        kubeletVersion: 'v1.36.3',
        kubeProxyVersion: '',
        operatingSystem: 'linux',
        architecture: 'amd64',
      },
      images: IMAGES,
    },
  };
}

const RESOURCES = { cpu: '8', memory: '32Gi', pods: '110', 'ephemeral-storage': '100Gi', 'hugepages-2Mi': '0' };

/** As many as kubelet tells at most (`nodeStatusMaxImages`). */
const IMAGES = Array.from({ length: 50 }, (_, index) => ({
  names: [`registry.example/team/service-${index}@sha256:${String(index).padStart(64, '0')}`],
  sizeBytes: 100_000_000 + index,
}));

function conditions(lastHeartbeatTime: string): readonly object[] {
  return ['MemoryPressure', 'DiskPressure', 'PIDPressure', 'Ready'].map((type) => ({
    type,
    status: type === 'Ready' ? 'True' : 'False',
    reason: type === 'Ready' ? 'KubeletReady' : `KubeletHasNo${type}`,
    message: 'as kubelet says',
    lastTransitionTime: '2026-01-01T00:00:00Z',
    lastHeartbeatTime,
  }));
}
