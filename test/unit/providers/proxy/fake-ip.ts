import type { RunIp } from '#providers/proxy/interface-addresses';

interface Entry {
  readonly device: string;
  readonly family: 'inet' | 'inet6';
  readonly local: string;
  readonly prefixlen: number;
  readonly metric?: number;
}

/**
 * A machine's addresses as iproute2 6.1 shows and changes them; texts and exit codes are those of the real one. `run`
 * stands in for the program.
 */
export class FakeIp {
  readonly entries: Entry[] = [
    { device: 'lo', family: 'inet', local: '127.0.0.1', prefixlen: 8 },
    { device: 'eth0', family: 'inet', local: '192.0.2.250', prefixlen: 24 },
    { device: 'eth0', family: 'inet6', local: 'fe80::1', prefixlen: 64 },
  ];
  /** Every call's arguments. */
  readonly calls: string[] = [];
  /** What the next call fails with, instead of doing anything. */
  failWith: string | undefined;

  readonly run: RunIp = async (args) => {
    this.calls.push(args.join(' '));
    await new Promise((resolve) => setImmediate(resolve));
    if (this.failWith !== undefined) {
      const error = new Error(this.failWith);
      this.failWith = undefined;
      throw error;
    }
    const [first, ...rest] = args;
    return first === '-j' ? this.#show() : this.#change(rest);
  };

  /** The addresses of a device, in the order in which they came. */
  on(device: string): readonly string[] {
    return this.entries.filter((entry) => entry.device === device).map(({ local }) => local);
  }

  /** Does what somebody at a shell would do. */
  remove(address: string): void {
    this.entries.splice(
      this.entries.findIndex(({ local }) => local === address),
      1,
    );
  }

  #show(): string {
    const devices = [...new Set(this.entries.map(({ device }) => device))];
    return JSON.stringify(
      devices.map((ifname) => ({
        ifname,
        flags: ['UP'],
        addr_info: this.entries
          .filter(({ device }) => device === ifname)
          .map(({ device, ...info }) => ({ ...info, scope: 'global', label: device, valid_life_time: 4_294_967_295 })),
      })),
    );
  }

  #change([verb, prefix = '', , device = '', ...options]: readonly string[]): string {
    const [local = '', length = ''] = prefix.split('/');
    const family = local.includes(':') ? 'inet6' : 'inet';
    const index = this.entries.findIndex((entry) => entry.local === local && entry.device === device);
    if (device !== 'eth0') throw new Error(`Cannot find device "${device}"`);
    if (verb === 'add') {
      if (index !== -1) throw new Error('Error: ipv4: Address already assigned.');
      const metric = Number(options[options.indexOf('metric') + 1]);
      this.entries.push({ device, family, local, prefixlen: Number(length), metric });
    } else {
      if (index === -1) throw new Error('Error: ipv4: Address not found.');
      this.entries.splice(index, 1);
    }
    return '';
  }
}
