/**
 * SHA-256 of what upstream offers for download, by program and platform. A program or platform that is missing here is
 * never downloaded but built from its pinned module. To move to another version, take every sum anew: upstream
 * publishes `<address>.sha256` beside each file.
 */

/** The bare programs of `KUBERNETES_VERSION`; the kops project lists the same sums for its own downloads. */
export const KUBERNETES_SHA256: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'kube-apiserver': {
    'linux-amd64': '1f217d397234a6d065da663c6e086fdb02c0f0de97a0758ff3e6f3956f4ef8ab',
    'linux-arm64': '16001b9d35d23634c361a1e2b7b0fc7abe186984af697ef7a869c8c8cded78b7',
  },
  'kube-controller-manager': {
    'linux-amd64': '7edfe976d5a06c7a702d653e914095f4a732a04bb2139115b6a6eba6a9b781c7',
    'linux-arm64': '27868a5c822824945b93f2d8a724a5dcd99affc68b47230ae766bff8795bbb84',
  },
  'kube-proxy': {
    'linux-amd64': 'f1b5eb4462df9d98751264c6256628d90fdc72ba8e9a8025d1f75674f078f254',
    'linux-arm64': '5db204a2f79b26f676137052b45e391f6f8c93b85c85ef0a1f5d72647e3c7834',
  },
  'kube-scheduler': {
    'linux-amd64': 'b8955d4518c902110b50a825364339b1fb673822518ce0ba081a69ed634f8eee',
    'linux-arm64': 'ca1c7cd0033942bf9ef7eac80e18375d91f6f29487244c3e685f11163b01a88d',
  },
  kubectl: {
    'linux-amd64': 'ebbd080e7c2e275093b55915722043257eb24004363e20acb3c4d71919f88336',
    'linux-arm64': '3d86f24401c41ae5a46ac50eef8865fe891d3647d324a0836f6c63757a126e62',
    'darwin-amd64': '158b3b46cf74e8b6bd9b1d7cd30f665e3efb2bc1ec3c843ec925bcfdd2930de0',
    'darwin-arm64': 'fc8582acde13869a606730a79379d6515f30c68afcced0b5ac8789d5d002b7d6',
  },
  kubelet: {
    'linux-amd64': '46707a53209f826ad0f0d62371ac69cd00e78fd9a8176cf5f6f87f18f7f8b718',
    'linux-arm64': '57205a5daf5883873d87b4914e1e00bdd7707acd075714788cfb0fc1f60bc414',
  },
};

/** The release archives of `ETCD_VERSION`, as in the release's `SHA256SUMS`. */
export const ETCD_SHA256: Readonly<Record<string, string>> = {
  'linux-amd64': '887afaa4a99f22d802ccdfbe65730a5e79aa5c9ce2c8799c67e9d804c50ecedb',
};
