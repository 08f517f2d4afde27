/** Values that are right by themselves but not beside each other. */
import type { ProviderSettings } from './settings.ts';
import type { ClassRule } from './values.ts';

/** What is wrong with the value of an option, to follow the option and its value in a sentence. */
export interface Misfit {
  readonly option: string;
  readonly message: string;
}

interface ProviderChoices {
  readonly providers: readonly string[];
  readonly 'default-provider': string;
  readonly 'load-balancer-class': readonly ClassRule[];
}

/** Providers exist, and every class has one owner. */
export function checkProviders(values: ProviderChoices, available: readonly ProviderSettings[]): readonly Misfit[] {
  const misfits: Misfit[] = [];
  const { providers } = values;
  const names = available.map(({ name }) => name).join(', ');
  for (const [index, name] of providers.entries()) {
    const option = 'providers';
    if (!available.some((provider) => provider.name === name)) {
      misfits.push({ option, message: `names the provider ${name}, which does not exist; there are: ${names}` });
    } else if (providers.indexOf(name) !== index) misfits.push({ option, message: `names ${name} twice` });
  }
  const fallback = values['default-provider'];
  if (fallback !== 'none' && !providers.includes(fallback)) {
    misfits.push({
      option: 'default-provider',
      message: `must be one of --providers (${providers.join(', ')}), or none`,
    });
  }
  const owners = new Map(available.map(({ name, loadBalancerClass }) => [loadBalancerClass, name]));
  for (const { className, provider } of values['load-balancer-class']) {
    const option = 'load-balancer-class';
    const owner = owners.get(className);
    if (!providers.includes(provider)) {
      misfits.push({ option, message: `names the provider ${provider}, which is not one of --providers` });
    } else if (owner !== undefined) {
      misfits.push({ option, message: `gives away ${className}, which ${owner} has already` });
    }
    owners.set(className, provider);
  }
  return misfits;
}

interface Times {
  readonly 'leader-elect-lease-duration': number;
  readonly 'leader-elect-renew-deadline': number;
  readonly 'leader-elect-retry-period': number;
}

/** client-go's conditions (`tools/leaderelection`, `NewLeaderElector`), jitter included. */
export function checkTimes(values: Times): readonly Misfit[] {
  const misfits: Misfit[] = [];
  const deadline = values['leader-elect-renew-deadline'];
  if (deadline >= values['leader-elect-lease-duration']) {
    misfits.push({
      option: 'leader-elect-renew-deadline',
      message: 'must be shorter than --leader-elect-lease-duration',
    });
  }
  if (deadline <= values['leader-elect-retry-period'] * 1.2) {
    misfits.push({
      option: 'leader-elect-retry-period',
      message: 'times 1.2 must be shorter than --leader-elect-renew-deadline',
    });
  }
  return misfits;
}
