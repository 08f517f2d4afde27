import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ApiRequestError,
  type ControlPlane,
  DUAL_STACK_RANGE,
  startControlPlane,
} from '../control-plane/control-plane.ts';
import { KUBERNETES_VERSION } from '../control-plane/kubernetes-binaries.ts';
import { identifyProcess } from '../control-plane/process-identity.ts';

const SERVICES = '/api/v1/namespaces/default/services';

function service(name: string, spec: object = {}): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: { selector: { app: name }, ports: [{ port: 80 }], ...spec },
  };
}

/** Asks until the answer is there, for ten seconds at most. */
async function eventually<T>(ask: () => T | undefined | Promise<T | undefined>): Promise<T> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    await delay(50);
  }
  throw new Error('did not happen within ten seconds');
}

function allGone(pids: Iterable<number>): true | undefined {
  return [...pids].every((pid) => identifyProcess(pid) === undefined) ? true : undefined;
}

/** Data folders that this process made and that are still there. */
function ownFolders(): string[] {
  return readdirSync(tmpdir())
    .filter((name) => name.startsWith('ballast-control-plane-'))
    .filter((name) => {
      const record = join(tmpdir(), name, 'owner.json');
      return existsSync(record) && readFileSync(record, 'utf8').includes(`"pid":${process.pid},`);
    });
}

describe('a control plane', () => {
  let one: ControlPlane;
  let other: ControlPlane;

  beforeAll(async () => {
    [one, other] = await Promise.all([
      startControlPlane({ controllers: ['endpointslice-controller'], audit: 'Metadata' }),
      startControlPlane({ serviceClusterIpRange: DUAL_STACK_RANGE, serviceNodePortRange: '31000-31010' }),
    ]);
  });

  afterAll(async () => {
    await Promise.all([one?.stop(), other?.stop()]);
  });

  it('runs beside another one, with data of its own', async () => {
    expect(one.url).not.toBe(other.url);
    await one.request('POST', SERVICES, service('only-here'));
    await expect(other.request('GET', `${SERVICES}/only-here`)).rejects.toMatchObject({ status: 404 });
  });

  it('is of the pinned version, for the API and for kubectl', async () => {
    const { gitVersion } = await one.request<{ gitVersion: string }>('GET', '/version');
    expect(gitVersion).toBe(KUBERNETES_VERSION);
    const { stdout, stderr, code } = await one.kubectl(['version', '--output=json']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({
      clientVersion: { gitVersion: KUBERNETES_VERSION },
      serverVersion: { gitVersion: KUBERNETES_VERSION },
    });
  });

  it('is trusted by its certificate authority, and by nothing else', async () => {
    expect(readFileSync(one.kubeconfigPath, 'utf8')).not.toContain('insecure');
    const { code, stderr } = await one.kubectl(['get', 'namespaces', `--certificate-authority=${other.caPath}`]);
    expect(code).not.toBe(0);
    expect(stderr).toContain('certificate signed by unknown authority');
  });

  it('throws the status and the answer of a refused request', async () => {
    const refused = one.request('POST', SERVICES, service('Not_A_Name'));
    await expect(refused).rejects.toBeInstanceOf(ApiRequestError);
    await expect(refused).rejects.toMatchObject({ status: 422, body: { kind: 'Status', reason: 'Invalid' } });
  });

  it('accepts pods at once, because the default ServiceAccount is there', async () => {
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'plain' },
      spec: { containers: [{ name: 'c', image: 'none' }] },
    };
    await expect(one.request('POST', '/api/v1/namespaces/default/pods', pod)).resolves.toMatchObject({ kind: 'Pod' });
  });

  it('knows a ServiceAccount by its token, and grants it only what a role grants', async () => {
    const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'reader' } };
    await one.request('POST', '/api/v1/namespaces/default/serviceaccounts', account);
    const kubeconfigPath = await one.createServiceAccountKubeconfig('default', 'reader');

    const whoami = await one.kubectl(['auth', 'whoami', '--output=jsonpath={.status.userInfo.username}'], {
      kubeconfigPath,
    });
    expect(whoami.stdout).toBe('system:serviceaccount:default:reader');

    const refused = await one.kubectl(['get', 'services'], { kubeconfigPath });
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('(Forbidden)');

    const role = ['create', 'role', 'reader', '--verb=get,list', '--resource=services'];
    expect(await one.kubectl(role)).toMatchObject({ code: 0 });
    const bind = ['create', 'rolebinding', 'reader', '--role=reader', '--serviceaccount=default:reader'];
    expect(await one.kubectl(bind)).toMatchObject({ code: 0 });
    const granted = await eventually(async () => {
      const result = await one.kubectl(['get', 'services', '--output=name'], { kubeconfigPath });
      return result.code === 0 ? result : undefined;
    });
    expect(granted.stdout).toContain('service/only-here');
    const deletion = await one.kubectl(['delete', 'service', 'only-here'], { kubeconfigPath });
    expect(deletion.stderr).toContain('(Forbidden)');
  });

  it('passes its input on to kubectl', async () => {
    const input = JSON.stringify(service('from-input'));
    const { code, stdout } = await one.kubectl(['apply', '--filename=-', '--output=name'], { input });
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'service/from-input\n' });
  });

  it('runs the chosen controllers and no others', async () => {
    await one.request('POST', SERVICES, service('sliced'));
    const path = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=';
    const slices = await eventually(async () => {
      const found = await one.request<{ items: unknown[] }>('GET', `${path}kubernetes.io/service-name%3Dsliced`);
      return found.items.length > 0 ? found.items : undefined;
    });
    expect(slices).toHaveLength(1);
    expect(one.pids).toHaveProperty('kube-controller-manager');
    expect(other.pids).not.toHaveProperty('kube-controller-manager');
  });

  it('gives addresses of both families when asked to', async () => {
    const both = service('dual', { ipFamilyPolicy: 'RequireDualStack' });
    const created = await other.request<{ spec: { clusterIPs: string[] } }>('POST', SERVICES, both);
    expect(created.spec.clusterIPs).toEqual([expect.stringMatching(/^10\.96\./), expect.stringMatching(/^fd00:96::/)]);
    await expect(one.request('POST', SERVICES, both)).rejects.toMatchObject({ status: 422 });
  });

  it('takes NodePorts from the chosen range', async () => {
    const node = (nodePort: number): object => ({ type: 'NodePort', ports: [{ port: 80, nodePort }] });
    await other.request('POST', SERVICES, service('inside', node(31_010)));
    const outside = other.request('POST', SERVICES, service('outside', node(31_011)));
    await expect(outside).rejects.toMatchObject({ status: 422 });
  });

  it('writes each answered request into the audit log', async () => {
    await one.request('GET', '/api/v1/namespaces/default/services?limit=7');
    const lines = readFileSync(one.auditLogPath, 'utf8').trim().split('\n');
    const events = lines.map((line): unknown => JSON.parse(line));
    expect(events).toContainEqual(
      expect.objectContaining({
        verb: 'list',
        requestURI: '/api/v1/namespaces/default/services?limit=7',
        stage: 'ResponseComplete',
      }),
    );
  });
});

describe('faults of the API server', () => {
  let plane: ControlPlane;

  beforeAll(async () => {
    plane = await startControlPlane();
  });

  afterAll(() => plane?.stop());

  it('a restart keeps the address and the data', async () => {
    await plane.request('POST', SERVICES, service('kept'));
    const before = plane.pids['kube-apiserver'];
    await plane.restartApiServer();
    expect(plane.pids['kube-apiserver']).not.toBe(before);
    await expect(plane.request('GET', `${SERVICES}/kept`)).resolves.toMatchObject({ metadata: { name: 'kept' } });
  });

  it('a killed one refuses connections until it is started again', async () => {
    await plane.killApiServer();
    expect(plane.pids).not.toHaveProperty('kube-apiserver');
    const socket = connect(Number(new URL(plane.url).port), '127.0.0.1');
    const [error] = await once(socket, 'error');
    expect(error).toMatchObject({ code: 'ECONNREFUSED' });
    await plane.restartApiServer();
    await expect(plane.request('GET', `${SERVICES}/kept`)).resolves.toMatchObject({ metadata: { name: 'kept' } });
  });

  it('a paused one takes connections and answers nothing until it is resumed', async () => {
    plane.pauseApiServer();
    const answer = plane.request('GET', `${SERVICES}/kept`).then(() => 'answered');
    expect(await Promise.race([answer, delay(500, 'silent')])).toBe('silent');
    plane.resumeApiServer();
    expect(await answer).toBe('answered');
  });
});

describe('the end of a control plane', () => {
  it('leaves no process and no data after stop, even when the API server hangs', async () => {
    const plane = await startControlPlane({ controllers: ['endpointslice-controller'] });
    const pids = Object.values(plane.pids);
    expect(ownFolders()).toHaveLength(1);
    expect(pids).toHaveLength(4);
    plane.pauseApiServer();
    await plane.stop();
    expect(allGone(pids)).toBe(true);
    expect(existsSync(dirname(plane.kubeconfigPath))).toBe(false);
    await plane.stop();
  });

  it('leaves nothing when the process that started it is killed', async () => {
    const library = new URL('../control-plane/control-plane.ts', import.meta.url).href;
    const program = `
      import { startControlPlane } from '${library}';
      const { pids, kubeconfigPath } = await startControlPlane();
      console.log(JSON.stringify({ pids: Object.values(pids), kubeconfigPath }));
    `;
    const owner = spawn(process.execPath, ['--input-type=module', '--eval', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = await once(createInterface({ input: owner.stdout }), 'line');
    const started: { pids: number[]; kubeconfigPath: string } = JSON.parse(String(line));
    expect(started.pids).toHaveLength(3);
    owner.kill('SIGKILL');
    await eventually(() => allGone(started.pids));
    expect(existsSync(dirname(started.kubeconfigPath))).toBe(false);
  });

  it('leaves nothing after a failed start, and says what the daemon said', async () => {
    const failed = startControlPlane({ apiServerFlags: ['--no-such-flag'] });
    await expect(failed).rejects.toThrow(/kube-apiserver ended .*unknown flag: --no-such-flag/s);
    expect(ownFolders()).toEqual([]);
  });

  it('leaves nothing after an aborted start', async () => {
    const started = startControlPlane({ signal: AbortSignal.timeout(300) });
    await expect(started).rejects.toThrow('aborted');
    expect(ownFolders()).toEqual([]);
  });
});
