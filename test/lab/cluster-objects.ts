import type { ApiClient } from './api-client.ts';
import { addressesOf, CONTROL_PLANE_HOST, DNS_SERVICE, type Family } from './addresses.ts';
import { waitFor } from './wait.ts';

const DNS_USER = 'system:coredns';
const RBAC = 'rbac.authorization.k8s.io';

interface ClusterObject {
  readonly path: string;
  readonly body: object;
}

/** Creates what a cluster has besides its nodes: the permissions of CoreDNS and Service `kube-dns` in front of it. */
export async function createClusterObjects(
  api: ApiClient,
  families: readonly Family[],
  signal: AbortSignal | undefined,
): Promise<void> {
  await waitFor({
    what: 'the API server to make namespace kube-system',
    timeoutMs: 10_000,
    signal,
    check: () => api.text('GET', '/api/v1/namespaces/kube-system', undefined, { signal }),
  });
  for (const { path, body } of [...dnsPermissions(), ...dnsService(families)]) {
    await api.text('POST', path, body, { signal });
  }
}

function dnsPermissions(): readonly ClusterObject[] {
  const apiVersion = `${RBAC}/v1`;
  const rules = [
    { apiGroups: [''], resources: ['endpoints', 'services', 'pods', 'namespaces'], verbs: ['list', 'watch'] },
    { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
  ];
  const metadata = { name: DNS_USER };
  return [
    { path: `/apis/${apiVersion}/clusterroles`, body: { apiVersion, kind: 'ClusterRole', metadata, rules } },
    {
      path: `/apis/${apiVersion}/clusterrolebindings`,
      body: {
        apiVersion,
        kind: 'ClusterRoleBinding',
        metadata,
        roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: DNS_USER },
        subjects: [{ apiGroup: RBAC, kind: 'User', name: DNS_USER }],
      },
    },
  ];
}

/** A Service without selector: CoreDNS is no pod here, so its endpoints are written by hand. */
function dnsService(families: readonly Family[]): readonly ClusterObject[] {
  const namespace = 'kube-system';
  const addresses = addressesOf(families, 'nodes', CONTROL_PLANE_HOST);
  const ports = (['UDP', 'TCP'] as const).map((protocol) => ({
    name: protocol === 'UDP' ? 'dns' : 'dns-tcp',
    protocol,
    port: 53,
  }));
  const clusterIPs = families.map((family) => DNS_SERVICE[family]);
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'kube-dns', namespace, labels: { 'k8s-app': 'kube-dns' } },
    spec: {
      clusterIP: clusterIPs[0],
      clusterIPs,
      ipFamilies: families,
      ipFamilyPolicy: families.length > 1 ? 'RequireDualStack' : 'SingleStack',
      ports,
    },
  };
  const slices = families.map((family) => ({
    path: `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`,
    body: {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        name: `kube-dns-${family.toLowerCase()}`,
        namespace,
        labels: { 'kubernetes.io/service-name': 'kube-dns', 'endpointslice.kubernetes.io/managed-by': 'ballast-lab' },
      },
      addressType: family,
      endpoints: [{ addresses: [addresses[family]], conditions: { ready: true } }],
      ports,
    },
  }));
  return [{ path: `/api/v1/namespaces/${namespace}/services`, body: service }, ...slices];
}
