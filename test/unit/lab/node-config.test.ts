import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { kubeletFlags, kubeProxyFlags, nodeConfigFiles, type NodeConfigInput } from '../../lab/node-config.ts';

const DUAL: NodeConfigInput = {
  lab: 'test',
  name: 'n2',
  index: 2,
  families: ['IPv4', 'IPv6'],
  addresses: { IPv4: '172.30.0.12', IPv6: 'fd00:172:30::12' },
  proxyMode: 'iptables',
  snapshotter: 'overlayfs',
};

describe('configuration of a node', () => {
  it('names both families where there are two', () => {
    expect(kubeletFlags(DUAL)).toContain('--node-ip=172.30.0.12,fd00:172:30::12');
    expect(kubeProxyFlags(DUAL)).toContain('--cluster-cidr=10.244.0.0/16,fd00:10:244::/48');
    expect(kubeProxyFlags(DUAL)).toContain('--proxy-mode=iptables');
    const files = nodeConfigFiles(DUAL);
    expect(parse(files['kubelet.yaml'] ?? '')).toMatchObject({
      address: '::',
      cgroupRoot: '/ballast-test-n2',
      clusterDNS: ['10.96.0.10', 'fd00:10:96::a'],
    });
    expect(parse(files['cni/10-lab.conflist'] ?? '')).toMatchObject({
      plugins: [{ ipam: { ranges: [[{ subnet: '10.244.2.0/24' }], [{ subnet: 'fd00:10:244:2::/64' }]] } }, {}],
    });
  });

  it('asks every caller of kubelet who it is', () => {
    expect(parse(nodeConfigFiles(DUAL)['kubelet.yaml'] ?? '')).toMatchObject({
      authentication: { anonymous: { enabled: false } },
      authorization: { mode: 'Webhook' },
    });
  });

  it('keeps container files in a way that the file system below can carry', () => {
    expect(nodeConfigFiles({ ...DUAL, snapshotter: 'native' })['containerd.toml']).toContain('snapshotter = "native"');
  });
});
