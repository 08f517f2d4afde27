import { fileURLToPath } from 'node:url';
import { PROVIDERS } from '#providers/registry';
import { loadConfig } from '#src/config';
import { providerSettings } from '#src/cli/context';
import { createProgram } from '#src/cli/program';
import { buildProviders } from '#src/cli/providers';
import { registerKubeMetrics } from '#src/kube/metrics';
import { registerServiceMetrics } from '#src/service/metrics';
import { createLog } from '#src/telemetry/log';
import { createMetrics } from '#src/telemetry/metrics';
import {
  commandFlagTable,
  errorTable,
  exitCodeTable,
  metricTable,
  optionTables,
  providerTable,
  settingTable,
} from './tables.ts';

/** The page that lists everything a user can set or see. */
export const REFERENCE: string = fileURLToPath(new URL('../../docs/reference.md', import.meta.url));

/** Every generated part of the page, by name. */
export async function referenceTables(): Promise<Readonly<Record<string, string>>> {
  const registry = createMetrics({ version: '0.0.0' });
  registerKubeMetrics(registry);
  registerServiceMetrics(registry);
  const names = Object.keys(PROVIDERS).join(',');
  const loaded = await loadConfig({
    flags: { providers: names },
    env: {},
    providers: providerSettings({ providers: PROVIDERS }),
  });
  await buildProviders({ loaded, definitions: PROVIDERS, log: createLog('silent'), registry });
  const ignore = (): void => {};
  const context = { providers: PROVIDERS, env: {}, version: '0.0.0', stdout: ignore, stderr: ignore, exitWith: ignore };
  return {
    'command-flags': commandFlagTable(createProgram(context)),
    'exit-codes': exitCodeTable(),
    providers: providerTable(PROVIDERS),
    options: optionTables(PROVIDERS),
    settings: settingTable(),
    errors: errorTable(),
    metrics: await metricTable(registry),
  };
}
