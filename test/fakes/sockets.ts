import { readFile } from 'node:fs/promises';

/** The kernel's tables (proc_net_tcp(5)), and the state in which a socket waits for peers: TCP LISTEN, UDP unconnected. */
const TABLES = [
  { file: 'tcp', protocol: 'TCP', state: '0A' },
  { file: 'tcp6', protocol: 'TCP', state: '0A' },
  { file: 'udp', protocol: 'UDP', state: '07' },
  { file: 'udp6', protocol: 'UDP', state: '07' },
] as const;

/**
 * Every socket of this network namespace that waits for clients, whoever owns it, as the kernel says:
 * `127.0.0.1:80/TCP`, `[::1]:53/UDP`. A port that two sockets share is listed twice.
 */
export async function openSockets(): Promise<readonly string[]> {
  const lists = await Promise.all(
    TABLES.map(async ({ file, protocol, state }) => {
      const text = await readFile(`/proc/self/net/${file}`, 'utf8');
      return text
        .trim()
        .split('\n')
        .slice(1)
        .map((line) => line.trim().split(/\s+/))
        .filter(([, , , actual]) => actual === state)
        .map(([, local = '']) => {
          const [address = '', port = ''] = local.split(':');
          return `${address.length === 8 ? ipv4(address) : `[${ipv6(address)}]`}:${Number.parseInt(port, 16)}/${protocol}`;
        });
    }),
  );
  return lists.flat();
}

/** What waits for clients at one IPv4 address: `80/TCP`, sorted. */
export async function openAt(address: string): Promise<readonly string[]> {
  const prefix = `${address}:`;
  const open = (await openSockets()).filter((socket) => socket.startsWith(prefix));
  return open.map((socket) => socket.slice(prefix.length)).toSorted();
}

/** The kernel prints each 32-bit word as the machine holds it; every machine that Node runs Linux on is little-endian. */
function ipv4(hex: string): string {
  return [...Buffer.from(hex, 'hex')].toReversed().join('.');
}

function ipv6(hex: string): string {
  const words = hex.match(/.{8}/g) ?? [];
  const bytes = words.flatMap((word) => [...Buffer.from(word, 'hex')].toReversed());
  const groups = Array.from({ length: 8 }, (_, index) =>
    (((bytes[2 * index] ?? 0) << 8) | (bytes[2 * index + 1] ?? 0)).toString(16),
  );
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}
