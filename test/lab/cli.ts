/** `npm run lab -- …`: the lab by hand. */
import { Command, InvalidArgumentError, Option } from 'commander';
import {
  buildAction,
  downAction,
  execAction,
  kubectlAction,
  logsAction,
  NODE_ACTIONS,
  nodeAction,
  statusAction,
  upAction,
} from './cli-actions.ts';
import type { LabOptions, MachineOptions } from './lab.ts';

interface Named {
  readonly name: string;
}

interface UpFlags extends Named, Required<Pick<LabOptions, 'nodes' | 'ipFamily' | 'proxyMode' | 'replace'>> {
  readonly machine?: readonly MachineOptions[];
  readonly image?: readonly string[];
  readonly nodeMonitorGracePeriod: number;
}

const program = new Command('lab')
  .description('A Kubernetes cluster of real nodes in network namespaces of this machine. See docs/lab.md.')
  .helpCommand(false)
  .showHelpAfterError('(--help shows how)')
  .enablePositionalOptions();

program
  .command('build')
  .description('get the packages, programs and images that a lab needs, and report each step with its time')
  .action(buildAction);

program
  .command('up')
  .description('make a lab that stays until `down`; clears what a killed run of the same name left')
  .addOption(nameOption())
  .option('--nodes <count>', 'how many nodes', wholeNumber, 3)
  .addOption(
    new Option('--ip-family <family>', 'of nodes, pods and Services').choices(['ipv4', 'ipv6', 'dual']).default('ipv4'),
  )
  .addOption(new Option('--proxy-mode <mode>', 'of kube-proxy').choices(['nftables', 'iptables']).default('nftables'))
  .option('--machine <name>', 'a machine beside the nodes, or `name:behind-router` (repeatable)', collectMachine)
  .option('--image <archive>', 'one more image for every node, as `docker save` writes it (repeatable)', collect)
  .option('--node-monitor-grace-period <seconds>', 'silence after which a node is NotReady', wholeNumber, 50)
  .option('--replace', 'take a lab of this name down first when it is up', false)
  .action(async ({ machine, image, nodeMonitorGracePeriod, ...flags }: UpFlags) => {
    await upAction({
      ...flags,
      nodeMonitorGracePeriodSeconds: nodeMonitorGracePeriod,
      ...(machine && { machines: machine }),
      ...(image && { images: image }),
    });
  });

program
  .command('down')
  .description('end and remove everything of a lab, whoever made it and however far it came')
  .addOption(nameOption())
  .option('--all', 'every lab on this host', false)
  .action(({ name, all }: Named & { readonly all: boolean }) => downAction(name, all));

program
  .command('status')
  .description('show the labs on this host')
  .option('--name <lab>', 'only this one')
  .option('--json', 'for programs', false)
  .action(({ name, json }: { readonly name?: string; readonly json: boolean }) => statusAction(name, json));

program
  .command('exec')
  .description('run a command on a node, a machine, or in cp (control plane), router, fabric; default: a shell')
  .argument('<where>', 'n1, client, …')
  .argument('[command...]', 'after --')
  .addOption(nameOption())
  .passThroughOptions()
  .action((where: string, command: readonly string[], { name }: Named) => execAction(name, where, command));

program
  .command('kubectl')
  .description("run the lab's kubectl as an administrator")
  .argument('[args...]')
  .addOption(nameOption())
  .passThroughOptions()
  .action((args: readonly string[], { name }: Named) => kubectlAction(name, args));

program
  .command('logs')
  .description('show the log of a component: kubelet-n1, kube-apiserver, …; without one: which there are')
  .argument('[component]')
  .addOption(nameOption())
  .option('--tail <lines>', 'how many lines', wholeNumber, 100)
  .option('-f, --follow', 'and what comes', false)
  .action(
    (component: string | undefined, { name, ...how }: Named & { readonly tail: number; readonly follow: boolean }) =>
      logsAction(name, component, how),
  );

program
  .command('node')
  .description('add a node, or do something to one')
  .argument('<action>', ['add', ...Object.keys(NODE_ACTIONS)].join(', '))
  .argument('[node]', 'n1, n2, …')
  .addOption(nameOption())
  .action((action: string, node: string | undefined, { name }: Named) => nodeAction(name, action, node));

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

function nameOption(): Option {
  return new Option('--name <lab>', 'which lab').default('lab');
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}

function collect(text: string, previous: readonly string[] = []): readonly string[] {
  return [...previous, text];
}

function collectMachine(text: string, previous: readonly MachineOptions[] = []): readonly MachineOptions[] {
  const [name = '', where] = text.split(':');
  if (where !== undefined && where !== 'behind-router') {
    throw new InvalidArgumentError('After the colon only `behind-router` can stand.');
  }
  return [...previous, { name, behindRouter: where !== undefined }];
}
