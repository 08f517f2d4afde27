/** `ballast plan` and `ballast explain` against a real API server, with a controller and without. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Service } from '#src/kube/wire';
import { freePort } from '#test/control-plane/free-port';
import { endpointSlice } from '#test/fakes/builders';
import { temporaryFolder } from '../unit/control-plane/temporary-folder.ts';
import { ballast, type Run } from './ballast.ts';
import { addresses, condition, useCluster } from './service/cluster.ts';
import { newPool, startController, type Controller } from './service/controller.ts';

interface Explained {
  readonly source: string;
  readonly decisions: readonly { readonly subject: string; readonly verdict: string; readonly text: string }[];
}

interface Planned {
  readonly source: string;
  readonly plans: readonly { readonly name: string; readonly steps: readonly { readonly kind: string }[] }[];
}

const cluster = useCluster();
const other = useCluster();
let nowhere = '';

beforeAll(async () => {
  nowhere = `127.0.0.1:${await freePort()}`;
  for (const each of [cluster, other]) {
    await each.createNode({
      metadata: { name: 'n1' },
      status: { addresses: [{ type: 'InternalIP', address: '127.1.0.1' }] },
    });
  }
});

/** Runs a command against the cluster; by default no controller is found. */
function ask(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Run> {
  return ballast(argv, {
    KUBECONFIG: cluster.plane.kubeconfigPath,
    BALLAST_METRICS_BIND_ADDRESS: nowhere,
    BALLAST_PROXY_ADDRESSES: '127.77.0.1-127.77.0.9',
    BALLAST_NODE_ADDRESSES: '127.0.0.0/8',
    BALLAST_ALLOW_ADDRESS: '*=*',
    ...env,
  });
}

async function explained(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Explained> {
  const { code, stdout, stderr } = await ask(['explain', ...argv, '-o', 'json'], env);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const answer: Explained = JSON.parse(stdout);
  return answer;
}

describe('without a controller', () => {
  it('plan shows what one that starts now would do, and says so', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web');
    const { code, stdout, stderr } = await ask(['plan', '-n', namespace.name]);
    expect(code).toBe(0);
    expect(stderr).toContain(`Asked the controller at http://${nowhere}, but it does not answer: `);
    expect(stdout).toContain(`${namespace.name}/web  (proxy)`);
    expect(stdout).toMatch(/1\. .*\n.*Assign 127\.77\.0\.1/);
    expect(stderr).toMatch(/\.\nAs a controller would see it that starts now:\n/);
    expect(stdout).toContain('1 load balancer, 0 as asked, 3 steps to take for a controller that starts now.\n');
    expect(stdout).toContain('through kubectl port-forward with --controller (docs/deploy.md');
    const asJson = await ask(['plan', '-n', namespace.name, '-o', 'json']);
    expect(JSON.parse(asJson.stdout)).toMatchObject({ source: 'fresh' });
    // And nothing has been done.
    const service = await namespace.get('web');
    expect(addresses(service)).toEqual([]);
    expect(service.metadata.finalizers).toBeUndefined();
  });

  it('plan --exit-code does not tell scripts that there is something to do, since only the controller knows', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('other', { spec: { loadBalancerClass: 'example.com/other' } });
    expect(await ask(['plan', '-n', namespace.name, '--exit-code'])).toMatchObject({ code: 0 });
    await namespace.create('web');
    expect(await ask(['plan', '-n', namespace.name, '--exit-code'])).toMatchObject({ code: 1 });
    expect(await ask(['plan', 'svc/other', '-n', namespace.name, '--exit-code'])).toMatchObject({
      code: 0,
      stdout: `${namespace.name}/other is not for this controller; \`ballast explain\` says why.\n`,
    });
  });

  it('explain says first that nobody does the work, and then what else it knows', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web');
    const { source, decisions } = await explained(['svc/web', '-n', namespace.name]);
    expect(source).toBe('fresh');
    expect(decisions.slice(0, 2)).toMatchObject([
      { subject: 'claim', verdict: 'yes' },
      { subject: 'leader', verdict: 'no' },
    ]);
    expect(decisions.find(({ subject }) => subject === 'nodes')).toMatchObject({
      verdict: 'yes',
      text: '1 may receive traffic: n1.',
    });
    expect(decisions.find(({ subject }) => subject === 'traffic')).toBeUndefined();
  });

  it('explain needs only permission to read', async () => {
    const namespace = await cluster.namespace('reader');
    await namespace.create('web', { annotations: { 'ballast.dev/algorithm': 'fastest' } });
    const lists = ['--verb=list', '--resource=services,nodes,endpointslices.discovery.k8s.io'];
    for (const argv of [
      ['create', 'serviceaccount', 'reader', '-n', namespace.name],
      ['create', 'clusterrole', 'ballast-reader', ...lists],
      [
        'create',
        'clusterrolebinding',
        'ballast-reader',
        '--clusterrole=ballast-reader',
        `--serviceaccount=${namespace.name}:reader`,
      ],
    ]) {
      expect(await cluster.plane.kubectl(argv)).toMatchObject({ code: 0 });
    }
    const KUBECONFIG = await cluster.plane.createServiceAccountKubeconfig(namespace.name, 'reader');
    // The namespace is that of the kubeconfig's context. Who leads may not be read, so nothing is said of it.
    const { decisions } = await explained(['web'], { KUBECONFIG });
    expect(decisions.find(({ verdict }) => verdict === 'no')).toMatchObject({
      subject: 'request',
      text: expect.stringContaining('InvalidAnnotation'),
    });
    expect(decisions.find(({ subject }) => subject === 'leader')).toBeUndefined();
  });

  it('a Service that does not exist, or may not be read, is one clear line', async () => {
    expect(await ask(['explain', 'svc/nothing'])).toEqual({
      code: 1,
      stdout: '',
      stderr: 'ballast: There is no Service default/nothing.\n',
    });
    const namespace = await cluster.namespace('nobody');
    await cluster.plane.kubectl(['create', 'serviceaccount', 'nobody', '-n', namespace.name]);
    const KUBECONFIG = await cluster.plane.createServiceAccountKubeconfig(namespace.name, 'nobody');
    const { code, stderr } = await ask(['explain', 'svc/web'], { KUBECONFIG });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^ballast: .*forbidden.*\n {2}hint: Apply the RBAC rules/);
  });

  it('a wrong kubeconfig, flag or Service name ends with 64', async () => {
    expect(await ask(['plan'], { KUBECONFIG: '/nowhere/config' })).toMatchObject({
      code: 64,
      stderr: expect.stringContaining('ballast: KUBECONFIG names no file that exists: /nowhere/config.'),
    });
    expect(await ask(['explain', 'pod/web'])).toMatchObject({
      code: 64,
      stderr: expect.stringContaining('ballast: pod/web names no Service; write svc/NAME.'),
    });
    expect(await ask(['plan'], { BALLAST_PROXY_ADDRESSES: '300.0.0.1' })).toMatchObject({
      code: 64,
      stderr: expect.stringContaining('It was set by BALLAST_PROXY_ADDRESSES=300.0.0.1.'),
    });
  });

  it('a controller that was named and does not answer ends with 1, and with the ways to it', async () => {
    expect(await ask(['plan', '--controller', `http://${nowhere}`])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        new RegExp(`Asked the controller at http://${nowhere}, but it does not answer.*\n {2}hint: .*port-forward`),
      ),
    });
  });
});

describe('without a controller, and with addresses on an interface', () => {
  it('explain and plan do not call undone what only the leader sees', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web');
    const onInterface = { BALLAST_PROXY_INTERFACE: 'lo' };
    const { decisions } = await explained(['svc/web', '-n', namespace.name], onInterface);
    const subjects = decisions.map(({ subject }) => subject);
    for (const subject of ['address', 'plan', 'traffic']) expect(subjects).not.toContain(subject);
    expect(subjects).toContain('outside');
    const planned = await ask(['plan', '-n', namespace.name, '--exit-code'], onInterface);
    expect(planned).toMatchObject({ code: 1, stdout: expect.stringContaining('for a controller that starts now.\n') });
  });

  it('also work where there is no `ip`, as on a Mac', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web');
    const without = { BALLAST_PROXY_INTERFACE: 'en0', PATH: '/nonexistent' };
    const { decisions } = await explained(['svc/web', '-n', namespace.name], without);
    expect(decisions.find(({ subject }) => subject === 'outside')).toMatchObject({ verdict: 'info' });
    expect(await ask(['plan', '-n', namespace.name, '--exit-code'], without)).toMatchObject({ code: 1 });
  });
});

describe('with a controller', () => {
  let controller: Controller;
  let env: Readonly<Record<string, string>> = {};
  beforeAll(async () => {
    controller = await startController(cluster, { flags: ['--leader-elect', 'true', '--proxy-addresses', newPool()] });
    env = { BALLAST_METRICS_BIND_ADDRESS: new URL(controller.url).host };
  });

  it('plan says that nothing is left to do', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web');
    await namespace.untilProgrammed('web');
    const { code, stdout, stderr } = await ask(['plan', 'svc/web', '-n', namespace.name, '--exit-code'], env);
    expect({ code, stderr }).toEqual({ code: 0, stderr: `As the controller at ${controller.url} says:\n\n` });
    expect(stdout).toBe(
      `${namespace.name}/web  (proxy)\n      nothing to do\n\n1 load balancer, 1 as asked, 0 steps to take.\n`,
    );
    const all = await ask(['plan', '-A', '-o', 'json'], env);
    const answer: Planned = JSON.parse(all.stdout);
    expect(answer.source).toBe('controller');
    expect(answer.plans.map(({ name }) => name)).toContain(`${namespace.name}/web`);
    expect(answer.plans.flatMap(({ steps }) => steps)).toEqual([]);
  });

  it('explain tells the address and the health that only the controller knows', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web');
    const [address] = addresses(await namespace.untilProgrammed('web'));
    const { source, decisions } = await explained(['svc/web', '-n', namespace.name], env);
    expect(source).toBe('controller');
    expect(decisions.find(({ subject }) => subject === 'address')).toMatchObject({
      verdict: 'yes',
      text: `The load balancer has ${address}.`,
    });
    expect(decisions.find(({ subject }) => subject === 'traffic')).toBeDefined();
    expect(decisions.find(({ subject }) => subject === 'leader')).toMatchObject({ verdict: 'yes' });
  });

  it('explain points at the pods that are missing, although everything else works', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web');
    await namespace.untilProgrammed('web');
    const { decisions } = await explained(['svc/web', '-n', namespace.name], env);
    expect(decisions.find(({ verdict }) => verdict === 'no')).toMatchObject({
      subject: 'endpoints',
      text: expect.stringContaining(`-n ${namespace.name} -l kubernetes.io/service-name=web`),
    });
  });

  it('explain without its address still finds out who leads', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web');
    await namespace.untilProgrammed('web');
    const { source, decisions } = await explained(['svc/web', '-n', namespace.name]);
    expect(source).toBe('fresh');
    expect(decisions[1]).toMatchObject({ subject: 'leader', verdict: 'yes' });
    expect(decisions.find(({ subject }) => subject === 'status')).toMatchObject({ verdict: 'yes' });
  });

  it('what it answers about the question itself is passed on', async () => {
    expect(await ask(['plan', 'svc/nothing'], env)).toEqual({
      code: 1,
      stdout: '',
      stderr: 'ballast: There is no Service default/nothing.\n',
    });
  });

  it('is believed while the API server is away, since it alone can answer then', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web');
    await namespace.untilProgrammed('web');
    const kubeconfig = join(temporaryFolder(), 'kubeconfig');
    const text = await readFile(cluster.plane.kubeconfigPath, 'utf8');
    await writeFile(kubeconfig, text.replace(cluster.plane.url, `https://${nowhere}`));
    const away = { ...env, KUBECONFIG: kubeconfig };
    const { source } = await explained(['svc/web', '-n', namespace.name], away);
    expect(source).toBe('controller');
    const planned = await ask(['plan', 'svc/web', '-n', namespace.name, '--exit-code'], away);
    expect(planned).toMatchObject({
      code: 0,
      stderr: `As the controller at ${controller.url} says (whether it serves the cluster of the kubeconfig could not be told):\n\n`,
    });
  });

  it('is not believed when it serves another cluster', async () => {
    const namespace = await other.namespace('elsewhere');
    await namespace.create('web');
    const elsewhere = { ...env, KUBECONFIG: other.plane.kubeconfigPath };
    const { code, stdout, stderr } = await ask(['plan', '-n', namespace.name], elsewhere);
    expect(code).toBe(0);
    expect(stderr).toContain('but it serves another cluster than the kubeconfig');
    expect(stdout).toContain(`${namespace.name}/web  (proxy)`);
  });

  it('a replica that only follows is not asked further', async () => {
    const follower = await startController(cluster, { flags: ['--leader-elect', 'true'] });
    const namespace = await cluster.namespace();
    await namespace.create('web');
    await namespace.untilProgrammed('web');
    const { stderr } = await ask(['plan', 'svc/web', '-n', namespace.name], {
      BALLAST_METRICS_BIND_ADDRESS: new URL(follower.url).host,
    });
    expect(stderr).toContain('but it says: This replica only follows; ask the one that holds the Lease.\nAs ');
  });
});

describe('with a controller whose pool is not on its machine', () => {
  it('explain says that first, once for all ports, from the controller as from outside', async () => {
    const controller = await startController(other, { flags: ['--proxy-addresses', '203.0.113.7'] });
    const namespace = await other.namespace();
    const ports = [80, 443].map((port) => ({ name: `p${port}`, port }));
    await namespace.create('web', { annotations: { 'ballast.dev/addresses': '203.0.113.7' }, spec: { ports } });
    await namespace.createSlice(endpointSlice({ ports: ports.map(({ name }) => ({ name, port: 8080 })) }));
    const isSaid = (service: Service): boolean => condition(service, 'Programmed')?.reason === 'AddressNotLocal';
    await namespace.until('web', 'the address to be refused', isSaid);
    const KUBECONFIG = other.plane.kubeconfigPath;
    const fromOutside = { KUBECONFIG, BALLAST_PROXY_ADDRESSES: '203.0.113.7' };
    for (const where of [{ KUBECONFIG, BALLAST_METRICS_BIND_ADDRESS: new URL(controller.url).host }, fromOutside]) {
      const { decisions } = await explained(['svc/web', '-n', namespace.name], where);
      expect(decisions.filter(({ verdict, subject }) => verdict === 'no' && subject !== 'leader')[0]).toMatchObject({
        subject: 'address',
        text: expect.stringContaining(
          'AddressNotLocal: 203.0.113.7 is not on this machine, so nothing can listen on 203.0.113.7:80/TCP, 443/TCP:',
        ),
      });
    }
  });
});
