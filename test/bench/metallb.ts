/** MetalLB's controller as the peer: the half of it that gives addresses. Nothing announces them, here or there. */
import { execFile } from 'node:child_process';
import { access, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '#test/control-plane/free-port';
import { until } from './until.ts';
import { run, type Subject } from './subject.ts';

const NAMESPACE = 'metallb-system';

/**
 * From a checkout of https://github.com/metallb/metallb, whose controller is built into `bin/controller` by Go unless
 * it is there.
 */
export async function metallb(checkout: string): Promise<Subject> {
  const program = join(checkout, 'bin/controller');
  try {
    await access(program);
  } catch {
    process.stderr.write('building the controller of MetalLB; a few minutes the first time\n');
    const build = ['build', '-trimpath', '-ldflags', '-s -w', '-o', program, './controller'];
    await promisify(execFile)('go', build, { cwd: checkout, env: { ...process.env, CGO_ENABLED: '0' } });
  }
  return {
    name: 'MetalLB',
    async prepare(plane) {
      const folder = join(checkout, 'config/crd/bases');
      const files = (await readdir(folder)).map((file) => ['-f', join(folder, file)]);
      const must = async (args: readonly string[], input?: string): Promise<void> => {
        const { code, stderr } = await plane.kubectl(args, input === undefined ? {} : { input });
        if (code !== 0) throw new Error(`kubectl ${args[0]}: ${stderr}`);
      };
      await must(['create', 'namespace', NAMESPACE]);
      await must(['apply', '--server-side', ...files.flat()]);
      await must(['wait', '--for=condition=Established', '--timeout=30s', 'crd', '--all']);
      const pool = {
        apiVersion: 'metallb.io/v1beta1',
        kind: 'IPAddressPool',
        metadata: { name: 'bench', namespace: NAMESPACE },
        spec: { addresses: ['198.18.0.0/16'] },
      };
      await must(['apply', '-f', '-'], JSON.stringify(pool));
    },
    async start(plane) {
      const probes = await freePort();
      const running = run({
        name: 'metallb',
        command: program,
        args: [
          `--namespace=${NAMESPACE}`,
          '--webhook-mode=disabled',
          '--disable-cert-rotation',
          '--port=0',
          `--health-probe-port=${probes}`,
        ],
        env: { KUBECONFIG: plane.kubeconfigPath },
        plane,
      });
      const ready = until('MetalLB to be ready', () =>
        fetch(`http://127.0.0.1:${probes}/readyz`).then(
          ({ ok }) => ok,
          () => false,
        ),
      ).then(() => performance.now());
      ready.catch(() => {});
      return { ...running, ready };
    },
  };
}
