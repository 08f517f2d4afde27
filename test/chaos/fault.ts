/** What the fault proxy can do to a request and its answer, and who says so. */

/** One request as it came to the proxy, and what became of it. */
export interface Exchange {
  /** Counts from 0, in the order of arrival. */
  readonly index: number;
  /** When it had arrived, by `performance.now()`. */
  readonly at: number;
  readonly method: string;
  /** With the query. */
  readonly path: string;
  /** Whether it asks a Kubernetes API server for a stream of changes. */
  readonly isWatch: boolean;
  readonly body: string;
  /** The status that the client got, or would have got; undefined while there is none. */
  status?: number;
}

export type Fault =
  /** Answered by the proxy; never reaches the server. */
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
    }
  /** Forwarded after this time. */
  | { readonly kind: 'delay'; readonly milliseconds: number }
  | Cut
  /** Carried out by the server; instead of the answer the client's connection is reset. */
  | { readonly kind: 'lose-response' }
  /** Never answered; forwarded when the proxy is told to `release`, unless the client has gone. */
  | { readonly kind: 'hang' }
  /** The body of the answer is changed: an old list, an empty one. The answer must end, so not for watches. */
  | { readonly kind: 'replace'; readonly change: (body: string) => string };

/** The body of the answer ends too early. */
export interface Cut {
  readonly kind: 'cut';
  /** How many bytes still reach the client. */
  readonly afterBytes: number;
  /** Counting begins behind the first place where these bytes occur; by default at the begin of the body. */
  readonly from?: string | Uint8Array;
  /**
   * `reset` (default): the connection is reset. `end`: the body ends as if it were whole, as some proxies do when their
   * server goes away.
   */
  readonly how?: 'reset' | 'end';
}

/** Asked for each request; undefined lets it pass to the next rule, and without any it is forwarded as it is. */
export type Rule = (exchange: Exchange) => Fault | undefined;

export type Match = (exchange: Exchange) => boolean;

/** The fault for the first `times` requests that match. */
export function firstTimes(times: number, matches: Match, fault: Fault): Rule {
  let left = times;
  return (exchange) => {
    if (left === 0 || !matches(exchange)) return undefined;
    left -= 1;
    return fault;
  };
}

/** The fault for every request that matches. */
export function always(matches: Match, fault: Fault): Rule {
  return (exchange) => (matches(exchange) ? fault : undefined);
}
