/** Which sockets a process listens on, as the kernel says (`proc_net(5)`). */
import { readdir, readFile, readlink } from 'node:fs/promises';

/** `127.0.0.1:80/TCP` or `[::1]:80/UDP`. */
export type SocketName = string;

/** State of a listening TCP socket, and of a UDP socket without a peer (`include/net/tcp_states.h`). */
const LISTENING = { tcp: '0A', udp: '07' } as const;
const TABLES = ['tcp', 'tcp6', 'udp', 'udp6'] as const;

/** Names of the sockets of the process that wait for clients; empty for one that has ended. */
export async function listeningSockets(pid: number): Promise<readonly SocketName[]> {
  const inodes = await socketInodes(pid);
  const names = await Promise.all(TABLES.map((table) => namesIn(pid, table, inodes)));
  return names.flat().sort();
}

async function socketInodes(pid: number): Promise<ReadonlySet<string>> {
  const folder = `/proc/${pid}/fd`;
  const descriptors = await readdir(folder).catch(() => []);
  const links = await Promise.all(descriptors.map((each) => readlink(`${folder}/${each}`).catch(() => '')));
  return new Set(links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []));
}

async function namesIn(
  pid: number,
  table: (typeof TABLES)[number],
  inodes: ReadonlySet<string>,
): Promise<readonly SocketName[]> {
  const text = await readFile(`/proc/${pid}/net/${table}`, 'utf8').catch(() => '');
  const protocol = table.startsWith('tcp') ? 'TCP' : 'UDP';
  const state = protocol === 'TCP' ? LISTENING.tcp : LISTENING.udp;
  return text
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === state && inodes.has(fields[9] ?? ''))
    .map((fields) => `${endpoint(fields[1] ?? '')}/${protocol}`);
}

/** `0100007F:1F90` as `127.0.0.1:8080`: each word of the address in the byte order of the machine, here the little one. */
function endpoint(text: string): string {
  const [address = '', port = ''] = text.split(':');
  const bytes = (address.match(/.{8}/g) ?? []).flatMap((word) => (word.match(/../g) ?? []).toReversed());
  const number = Number.parseInt(port, 16);
  if (bytes.length === 4) return `${bytes.map((byte) => Number.parseInt(byte, 16)).join('.')}:${number}`;
  const groups = (bytes.join('').match(/.{4}/g) ?? []).map((group) => group.toLowerCase());
  return `${new URL(`http://[${groups.join(':')}]/`).hostname}:${number}`;
}
