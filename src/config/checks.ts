/** Values that are right by themselves but not beside each other. */
import type { MetricsAuth, ProviderSettings } from './settings.ts';
import type { BindAddress, ClassRule } from './values.ts';

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

interface MetricsChoices {
  readonly 'metrics-bind-address': BindAddress | 'none';
  readonly 'metrics-tls-cert-file'?: string | undefined;
  readonly 'metrics-tls-key-file'?: string | undefined;
  readonly 'metrics-auth': MetricsAuth;
}

/** A certificate has its key, and tokens do not travel in the clear. */
export function checkMetrics(values: MetricsChoices): readonly Misfit[] {
  const { 'metrics-tls-cert-file': certFile, 'metrics-tls-key-file': keyFile } = values;
  const address = values['metrics-bind-address'];
  if (certFile !== undefined && keyFile === undefined) {
    return [{ option: 'metrics-tls-cert-file', message: 'needs --metrics-tls-key-file beside it' }];
  }
  if (keyFile !== undefined && certFile === undefined) {
    return [{ option: 'metrics-tls-key-file', message: 'needs --metrics-tls-cert-file beside it' }];
  }
  if (values['metrics-auth'] === 'none' || certFile !== undefined || address === 'none') return [];
  const { host = '' } = address;
  if (host === 'localhost' || host === '::1' || host.startsWith('127.')) return [];
  const message = 'would have tokens sent in the clear; set --metrics-tls-cert-file and --metrics-tls-key-file';
  return [{ option: 'metrics-auth', message }];
}
