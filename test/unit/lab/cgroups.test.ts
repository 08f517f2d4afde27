import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cgroupProcesses, type Cgroups, createNodeCgroup, labCgroups, parseCgroupMounts } from '../../lab/cgroups.ts';

const VERSION_1 = `25 1 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
26 25 0:23 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
27 25 0:24 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer
28 25 0:25 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw`;
const VERSION_2 = '30 1 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate';

describe('cgroup hierarchies', () => {
  it('are told apart by what is mounted', () => {
    const first = parseCgroupMounts(VERSION_1);
    expect(first?.version).toBe(1);
    expect(first?.roots).toHaveLength(3);
    expect(first?.controllers.get('cpuacct')).toBe('/sys/fs/cgroup/cpu,cpuacct');
    expect(parseCgroupMounts(VERSION_2)).toMatchObject({ version: 2, roots: ['/sys/fs/cgroup'] });
    expect(parseCgroupMounts('1 0 0:1 / / rw - ext4 /dev/vda rw')).toBeUndefined();
  });
});

describe('the cgroup of a node', () => {
  let root: string;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'cgroup-'));
  });
  afterEach(() => rm(root, { recursive: true }));

  it('hands the controllers down in version 2, and keeps the daemons in a leaf', async () => {
    const cgroups: Cgroups = { version: 2, roots: [root], controllers: new Map() };
    expect(await createNodeCgroup(cgroups, 'lab', 'n1')).toEqual([join(root, 'ballast-lab-n1', 'daemons')]);
    for (const folder of [root, join(root, 'ballast-lab-n1')]) {
      expect(await readFile(join(folder, 'cgroup.subtree_control'), 'utf8')).toBe('+cpu +cpuset +memory +pids');
    }
  });

  it('takes over processors and memory nodes in a version 1 cpuset, where an empty one takes no process', async () => {
    const cgroups: Cgroups = { version: 1, roots: [root], controllers: new Map([['cpuset', root]]) };
    await writeFile(join(root, 'cpuset.cpus'), '0-1');
    await writeFile(join(root, 'cpuset.mems'), '0');
    const [daemons = ''] = await createNodeCgroup(cgroups, 'lab', 'n1');
    expect(await readFile(join(daemons, 'cpuset.cpus'), 'utf8')).toBe('0-1');
    expect(await readFile(join(daemons, 'cpuset.mems'), 'utf8')).toBe('0');
  });

  it('is found by the lab’s name, and another lab’s is not', async () => {
    const cgroups: Cgroups = { version: 2, roots: [root], controllers: new Map() };
    for (const name of ['ballast-lab-n1', 'ballast-lab-n2', 'ballast-lab2-n1', 'system.slice']) {
      await mkdir(join(root, name, 'pod'), { recursive: true });
    }
    await writeFile(join(root, 'ballast-lab-n1', 'cgroup.procs'), '');
    await writeFile(join(root, 'ballast-lab-n1', 'pod', 'cgroup.procs'), '7\n8\n');
    const found = await labCgroups(cgroups, 'lab');
    expect(found.toSorted()).toEqual([join(root, 'ballast-lab-n1'), join(root, 'ballast-lab-n2')]);
    expect([...(await cgroupProcesses(found))]).toEqual([7, 8]);
    expect(await labCgroups(cgroups, 'lab', 'n2')).toEqual([join(root, 'ballast-lab-n2')]);
  });
});
