import type { ProviderDefinition } from '../loadbalancer/definition.ts';
import type { ProviderSettings } from '../config/settings.ts';

/** What the composition root gives to every subcommand. */
export interface CliContext {
  /** By name. */
  readonly providers: Readonly<Record<string, ProviderDefinition>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The version of Ballast. */
  readonly version: string;
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
}

/** What a subcommand's action gets besides. */
export interface CommandContext extends CliContext {
  /** Sets the exit code of a run that otherwise succeeded. */
  readonly exitWith: (code: number) => void;
}

/** The providers as the configuration wants to know them. */
export function providerSettings({ providers }: Pick<CliContext, 'providers'>): readonly ProviderSettings[] {
  return Object.entries(providers).map(([name, { loadBalancerClass, options }]) => ({
    name,
    loadBalancerClass,
    options,
  }));
}
