import { Option, type Command } from 'commander';
import type { ProviderSettings } from '../../config/settings.ts';
import { addConfigFlags } from '../flags.ts';
import { outputOption } from '../version.ts';

/** What `plan` and `explain` take beside their own flags. */
export interface InquiryFlags {
  readonly namespace?: string;
  readonly controller?: string;
  readonly controllerCaFile?: string;
  readonly controllerTokenFile?: string;
  readonly output: 'text' | 'json';
}

/** Adds them, and the options that decide what a controller would do. */
export function addInquiryFlags(command: Command, providers: readonly ProviderSettings[]): void {
  command
    .addOption(new Option('-n, --namespace <namespace>', 'The namespace (default: that of the kubeconfig’s context).'))
    .addOption(
      new Option(
        '--controller <url>',
        'Where the controller serves its answers (default: by --metrics-bind-address, on this machine).',
      ),
    )
    .addOption(
      new Option('--controller-ca-file <path>', 'A PEM file with the authority of the controller’s certificate.'),
    )
    .addOption(
      new Option('--controller-token-file <path>', 'A file with the token that --metrics-auth=token asks for.'),
    )
    .addOption(outputOption());
  addConfigFlags(command, ['Cluster', 'Services'], providers);
}
