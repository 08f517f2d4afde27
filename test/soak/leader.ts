import type { Replica } from './replica.ts';

/** The replica that says that it holds the Lease; undefined while none does, or more than one. */
export async function leaderOf(replicas: readonly Replica[]): Promise<Replica | undefined> {
  const answers = await Promise.all(replicas.map(async (replica) => ({ replica, leads: await leads(replica) })));
  const leaders = answers.filter(({ leads }) => leads);
  return leaders.length === 1 ? leaders[0]?.replica : undefined;
}

async function leads(replica: Replica): Promise<boolean> {
  const metrics = await replica.ask('/metrics');
  return metrics !== undefined && metricOf(metrics, 'leader_election_master_status') === 1;
}

/** The sum of a metric's series whose labels hold the text; undefined where there is none. */
export function metricOf(text: string, name: string, labels = ''): number | undefined {
  const values = text
    .split('\n')
    .filter((line) => (line.startsWith(`${name} `) || line.startsWith(`${name}{`)) && line.includes(labels))
    .map((line) => Number(line.slice(line.lastIndexOf(' ') + 1)));
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0);
}
