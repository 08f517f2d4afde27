/**
 * What a soak does, as data: every action is one line of JSON in the log, and a log can be carried out again. Names of
 * addresses and ports are those of the script (`@3` is the fourth address of the proxy's pool, `@c1` the second of the
 * cloud's, port 2 the third of the band), so that a log holds on another machine.
 */
export type Protocol = 'TCP' | 'UDP' | 'SCTP';

export interface AskedPort {
  /** Place in the band of ports, from 0. */
  readonly port: number;
  readonly protocol: Protocol;
}

/**
 * Whose a Service is by its class: `own` and `moved` name the proxy, `none` has none and is the proxy's as well, `cloud`
 * names the provider of the small cloud, `foreign` is another controller's.
 */
export type AskedClass = 'own' | 'moved' | 'none' | 'cloud' | 'foreign';

/** What a user asks of a Service. */
export interface Asked {
  readonly type: 'LoadBalancer' | 'ClusterIP' | 'NodePort';
  /** Counts with `LoadBalancer` only. */
  readonly class: AskedClass;
  readonly ports: readonly AskedPort[];
  /** The first is primary; never changed after the creation. */
  readonly families: readonly ('IPv4' | 'IPv6')[];
  /** With two families: whether it can do with one. */
  readonly requiresBoth: boolean;
  readonly policy: 'Cluster' | 'Local';
  /** CIDRs, or `@in`, `@v6`: those that hold the soak's own client of the family. */
  readonly ranges: readonly string[];
  /** Whether the API server gives NodePorts; where not, Ballast does. */
  readonly nodePorts: boolean;
  readonly affinity: boolean;
  /** Under `ballast.dev/`, without the prefix; values may hold `@3`. */
  readonly annotations: Readonly<Record<string, string>>;
}

/** What `another user` does to an object that is not theirs. */
export type Tampering =
  | 'status-gone'
  | 'ingress-gone'
  | 'ingress-foreign'
  | 'conditions-gone'
  | 'condition-false'
  | 'condition-foreign'
  | 'finalizers-gone'
  | 'foreign-finalizer-on'
  | 'foreign-finalizer-off';

export interface NodeState {
  /** Place in the range of node addresses. */
  readonly address: number;
  readonly excluded: boolean;
  readonly tainted: boolean;
  readonly ready: boolean;
}

export interface EndpointState {
  readonly node: string;
  readonly ready: boolean;
  readonly serving: boolean;
}

export type Operation =
  | { readonly do: 'create'; readonly service: string; readonly asked: Asked }
  | { readonly do: 'edit'; readonly service: string; readonly change: Partial<Asked> }
  | { readonly do: 'delete'; readonly service: string }
  /** Deletes it, if it is there, and creates another under the same name as soon as that is free. */
  | { readonly do: 'recreate'; readonly service: string; readonly asked: Asked }
  | { readonly do: 'tamper'; readonly service: string; readonly what: Tampering }
  | { readonly do: 'node'; readonly node: string; readonly state: NodeState | undefined }
  | { readonly do: 'endpoints'; readonly service: string; readonly endpoints: readonly EndpointState[] | undefined };

/** Which of the two controller processes: by what it is at that moment. */
export type Which = 'leader' | 'follower' | 'both';

/** A fault between controller and API server that lasts for a time and hits a share of what passes. */
export type NetworkFault =
  | 'refusals'
  | 'gone'
  | 'slow'
  | 'lost-responses'
  | 'hang'
  | 'freeze'
  | 'no-connection'
  /** Watches end, and lists are answered as they were at the begin of the round. */
  | 'stale-lists';

/** Those between a controller and the cloud: none keeps a request for longer than its sender may wait to send it. */
export type CloudFault = 'refusals' | 'slow' | 'lost-responses' | 'no-connection';

export type FaultAction =
  | {
      readonly do: 'network';
      readonly fault: NetworkFault;
      readonly which: Which;
      readonly forMs: number;
      /** From 0 to 1: which share of the requests is hit; `seed` says which ones. */
      readonly share: number;
      readonly seed: number;
    }
  | {
      readonly do: 'cloud-network';
      readonly fault: CloudFault;
      readonly which: Which;
      readonly forMs: number;
      readonly share: number;
      readonly seed: number;
    }
  | { readonly do: 'cut-connections'; readonly which: Which }
  /**
   * The next watch streams, or lists, end after so many bytes: broken off (`reset`, the default) or as if they were
   * whole (`end`).
   */
  | {
      readonly do: 'cut-watches' | 'cut-lists';
      readonly which: Which;
      readonly afterBytes: number;
      readonly times: number;
      readonly how?: 'reset' | 'end';
    }
  | { readonly do: 'kill-api-server'; readonly forMs: number }
  | { readonly do: 'pause-api-server'; readonly forMs: number }
  | { readonly do: 'terminate' | 'kill'; readonly which: Which }
  | { readonly do: 'pause'; readonly which: Which; readonly forMs: number };

export type Action = Operation | FaultAction;

/** One line of the log. */
export interface Line {
  /** From 1. */
  readonly round: number;
  /** Milliseconds to wait before. */
  readonly afterMs: number;
  readonly action: Action;
}

/** The first line of the log. */
export interface Head {
  readonly soak: 1;
  readonly seed: number;
  /** Whether Services with IPv6 take part. */
  readonly ipv6: boolean;
  /** Whether the small cloud takes part; where this is missing it does not. */
  readonly cloud?: boolean;
}

export interface Script {
  readonly head: Head;
  readonly lines: readonly Line[];
}

/** Reads a log. Throws an error that says which line is none of a soak's. */
export function parseScript(text: string): Script {
  const [first = '', ...rest] = text.split('\n').filter((line) => line.trim() !== '');
  const head: Head = parse(first, 1);
  if (head.soak !== 1) throw new Error('The first line is not that of a soak’s log.');
  const lines = rest.map((line, index): Line => parse(line, index + 2));
  const bad = lines.findIndex(({ round, action }) => typeof round !== 'number' || typeof action?.do !== 'string');
  if (bad !== -1) throw new Error(`Line ${bad + 2} is not an action of a soak.`);
  return { head, lines };
}

/** Taken to be what it claims to be, as JSON is. */
function parse(line: string, number: number): ReturnType<typeof JSON.parse> {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new Error(`Line ${number} of the log is not JSON.`, { cause: error });
  }
}

/** The actions of each round, in order; rounds without any are left out. */
export function roundsOf(lines: readonly Line[]): readonly (readonly Line[])[] {
  return [...Map.groupBy(lines, ({ round }) => round)].toSorted(([a], [b]) => a - b).map(([, own]) => own);
}
