/** How to reach one cluster and prove who we are; `config.ts` finds it, the transport uses it for every request. */
export interface ClusterAccess {
  /** Base URL of the API server without a trailing slash; may carry a path prefix. */
  readonly server: string;
  /** Where the settings come from, for logs and errors: `context "lab" of /home/me/.kube/config`. */
  readonly description: string;
  /** The namespace of the context, or the pod's own one in a cluster. */
  readonly namespace: string | undefined;
  /** An HTTP or SOCKS5 proxy between us and the API server: `http://`, `https://` or `socks5://`. */
  readonly proxyUrl: string | undefined;
  /**
   * What a request carries now. Called for every request, because tokens expire and files are replaced under us.
   * @throws BallastError `ApiForbidden` when the credentials cannot be obtained (a token file is gone, an exec plugin
   * fails).
   */
  credentials(): Promise<Credentials>;
  /**
   * Is told that the API server did not know the credentials (401), so that whoever keeps a copy of what lies in a file
   * looks there again. Undefined where nothing is kept.
   */
  readonly refused?: (() => void) | undefined;
}

export interface Credentials {
  /** `Authorization` and impersonation headers, ready to send. */
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: TlsMaterial;
}

/** The TLS options of a connection; names are those of `tls.connect`. */
export interface TlsMaterial {
  readonly ca?: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

/** Whether two sets of TLS options make the same connection, so that one dispatcher can serve both. */
export function sameTls(a: TlsMaterial, b: TlsMaterial): boolean {
  return (
    samePem(a.ca, b.ca) &&
    samePem(a.cert, b.cert) &&
    samePem(a.key, b.key) &&
    a.servername === b.servername &&
    a.rejectUnauthorized === b.rejectUnauthorized
  );
}

function samePem(a: string | Buffer | undefined, b: string | Buffer | undefined): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined) return false;
  return Buffer.from(a).equals(Buffer.from(b));
}
