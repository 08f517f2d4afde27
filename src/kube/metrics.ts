import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** The metrics of this layer, with the names of client-go and controller-runtime where they have them. */
export interface KubeMetrics {
  readonly requests: Counter<'code' | 'host' | 'method'>;
  readonly requestDuration: Histogram<'host' | 'verb'>;

  readonly lists: Counter<'name'>;
  readonly listDuration: Histogram<'name'>;
  readonly watches: Counter<'name'>;
  readonly shortWatches: Counter<'name'>;
  readonly watchEvents: Counter<'name' | 'type'>;
  readonly reflectorFailures: Counter<'name' | 'code'>;
  /** Includes a reflector in the gauges until the returned function is called. */
  watchReflector(reflector: ReflectorState): () => void;

  readonly leader: Gauge<'name'>;

  readonly eventsWritten: Counter<'verb'>;
  readonly eventsDropped: Counter<'cause'>;
}

/** What the gauges ask of a live reflector whenever they are collected. */
export interface ReflectorState {
  readonly name: string;
  readonly size: number;
  /** Milliseconds since the API server last sent anything; undefined before the first list. */
  readonly lastEventAgeMs: number | undefined;
}

/** Registers the metrics; once per registry, for all clients, reflectors and electors. */
export function registerKubeMetrics(registry: Registry): KubeMetrics {
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[]): Counter<L> =>
    new Counter({ name, help, labelNames, registers });
  const histogram = <L extends string>(name: string, help: string, labelNames: readonly L[]): Histogram<L> =>
    new Histogram({
      name,
      help,
      labelNames,
      registers,
      buckets: [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60],
    });

  const reflectors = new Set<ReflectorState>();
  const reflectorGauge = (name: string, help: string, read: (each: ReflectorState) => number | undefined): void => {
    void new Gauge({
      name,
      help,
      labelNames: ['name'],
      registers,
      collect() {
        this.reset();
        for (const each of reflectors) {
          const value = read(each);
          if (value !== undefined) this.set({ name: each.name }, value);
        }
      },
    });
  };
  reflectorGauge('reflector_objects', 'Objects in the store of the resource', (each) => each.size);
  reflectorGauge(
    'reflector_last_event_age_seconds',
    'Seconds since the API server last sent anything for the resource; bookmarks come about every 60 s',
    (each) => (each.lastEventAgeMs === undefined ? undefined : each.lastEventAgeMs / 1000),
  );

  return {
    requests: counter(
      'rest_client_requests_total',
      'Requests to the API server by status code (`<error>` without an answer), method and host',
      ['code', 'host', 'method'],
    ),
    requestDuration: histogram(
      'rest_client_request_duration_seconds',
      'Seconds from sending a request to the API server to the end of its answer; watches are not counted',
      ['host', 'verb'],
    ),
    lists: counter('reflector_lists_total', 'Lists of the resource that were begun', ['name']),
    listDuration: histogram('reflector_list_duration_seconds', 'Seconds that a list with all its pages took', ['name']),
    watches: counter('reflector_watches_total', 'Watches of the resource that were begun', ['name']),
    shortWatches: counter('reflector_short_watches_total', 'Watches that ended at once and without an event', ['name']),
    watchEvents: counter('reflector_watch_events_total', 'Events received by type', ['name', 'type']),
    reflectorFailures: counter('reflector_failures_total', 'Failed lists and watches by error code', ['name', 'code']),
    watchReflector(reflector) {
      reflectors.add(reflector);
      return () => reflectors.delete(reflector);
    },
    leader: new Gauge({
      name: 'leader_election_master_status',
      help: 'Whether this process holds the Lease: 1 or 0',
      labelNames: ['name'],
      registers,
    }),
    eventsWritten: counter('ballast_events_written_total', 'Events created (post) and updated (patch)', ['verb']),
    eventsDropped: counter('ballast_events_dropped_total', 'Events not written, by cause', ['cause']),
  };
}
