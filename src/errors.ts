/**
 * Every error that Ballast raises on purpose, in one table: what kind of failure it is (which decides what the
 * work queue does next), what it means, and what a person can do about it. `docs/reference.md` lists the same rows;
 * a test compares the two.
 */

/** How a failure is handled; see `runtime/controller.ts` for the one switch over it. */
export type FailureKind =
  /** May pass by itself: try again with exponential backoff. */
  | 'retryable'
  /** The other side asks for patience: try again when it says. */
  | 'throttled'
  /** Somebody else wrote first: read again and retry at once, a few times. */
  | 'conflict'
  /** Trying again changes nothing until the input (or the resource it competes for) changes. */
  | 'terminal'
  /** Our mistake: back off, log with the stack. */
  | 'bug';

export interface ErrorRow {
  readonly kind: FailureKind;
  /** What happened, for the reference page. */
  readonly meaning: string;
  /** What a person can do, for the reference page and for conditions. */
  readonly remedy: string;
}

export const ERRORS = {
  InvalidConfig: {
    kind: 'terminal',
    meaning: 'A flag, environment variable or configuration-file key is unknown or has a value that makes no sense.',
    remedy: 'Correct the setting that the message names; `ballast controller --help` lists them all.',
  },
  ControllerUnreachable: {
    kind: 'retryable',
    meaning: 'The controller that `--controller` names does not answer, or refuses to.',
    remedy:
      'Check the URL. Who is elsewhere goes through `kubectl port-forward`; with `--metrics-auth=token` it wants https, `--controller-ca-file` and `--controller-token-file`.',
  },
  InvalidAnnotation: {
    kind: 'terminal',
    meaning: 'An annotation of the Service has a value that Ballast cannot use.',
    remedy: 'Correct or remove the annotation that the message names.',
  },
  InvalidSourceRange: {
    kind: 'terminal',
    meaning: 'An entry of `spec.loadBalancerSourceRanges` is not a CIDR.',
    remedy: 'Write each range as `address/prefix-length`, for example `192.0.2.0/24`.',
  },
  UnsupportedProtocol: {
    kind: 'terminal',
    meaning: 'The provider cannot carry a port of this protocol.',
    remedy: 'Remove the port, or give the Service a `loadBalancerClass` whose provider supports the protocol.',
  },
  TooManyListeners: {
    kind: 'terminal',
    meaning: 'The load balancer would need more listeners than its provider allows.',
    remedy: 'Spread the ports over several Services that do not share a load balancer.',
  },
  PortConflict: {
    kind: 'terminal',
    meaning: 'An older Service already has this port and protocol on the same load balancer or address.',
    remedy: 'Choose another port, another group, or another address.',
  },
  GroupNotAllowed: {
    kind: 'terminal',
    meaning:
      'The Service asks to join a load balancer group of another namespace, and the configuration does not allow it.',
    remedy: 'Use a group of the own namespace, or ask the operator to allow it with `--allow-group`.',
  },
  AddressNotAllowed: {
    kind: 'terminal',
    meaning: 'The Service asks for an address, and the configuration does not allow its namespace to.',
    remedy: 'Ask for no address, or ask the operator to allow it with `--allow-address`.',
  },
  PortNotAllowed: {
    kind: 'terminal',
    meaning: 'The port is kept for the machine that the provider listens on.',
    remedy: 'Choose another port, or ask the operator to allow it (`--proxy-reserved-ports`).',
  },
  AddressNotInPool: {
    kind: 'terminal',
    meaning: 'The Service asks for an address that the provider does not have.',
    remedy: 'Ask for an address of the pool, or for none.',
  },
  AddressInUse: {
    kind: 'terminal',
    meaning: 'The Service asks for an address that another load balancer holds.',
    remedy: 'Choose another address, or share the load balancer with `ballast.dev/load-balancer`.',
  },
  AddressPoolExhausted: {
    kind: 'terminal',
    meaning: 'No address of the wanted family is free.',
    remedy: 'Add addresses to the pool, or delete Services that no longer need one.',
  },
  ClaimLost: {
    kind: 'conflict',
    meaning: 'Another load balancer took the address or the port between planning and applying.',
    remedy: 'None needed: Ballast plans again.',
  },
  AddressNotLocal: {
    kind: 'retryable',
    meaning: 'An address of the pool is not on this machine, so nothing can listen on it.',
    remedy: 'Add the address to an interface, or let Ballast do it with `--proxy-interface`.',
  },
  InterfaceFailed: {
    kind: 'retryable',
    meaning: 'An address could not be added to or removed from the network interface.',
    remedy: 'Check that the interface exists and that the controller has CAP_NET_ADMIN.',
  },
  ListenFailed: {
    kind: 'retryable',
    meaning: 'A listener could not be opened.',
    remedy:
      'See which process holds the port (`ss -ltnup`), and that the controller may bind it: below 1024, CAP_NET_BIND_SERVICE (in a pod for root only) or the sysctl `net.ipv4.ip_unprivileged_port_start=0`.',
  },
  NodePortMissing: {
    kind: 'retryable',
    meaning: 'A port of the Service has no NodePort yet, and the provider needs one.',
    remedy: 'None needed: Ballast allocates it. If it stays, see the events of the Service.',
  },
  NodePortsExhausted: {
    kind: 'retryable',
    meaning: 'No NodePort of the configured range is free.',
    remedy: 'Delete Services that hold NodePorts, or widen the range of the API server and of `--node-port-range`.',
  },
  NodePortConflict: {
    kind: 'retryable',
    meaning: 'The API server refused every NodePort that looked free, because others took them meanwhile.',
    remedy: 'None needed: Ballast tries again.',
  },
  ApiConflict: {
    kind: 'conflict',
    meaning: 'An object changed between reading and writing it.',
    remedy: 'None needed: Ballast reads it again and retries.',
  },
  ApiThrottled: {
    kind: 'throttled',
    meaning: 'The API server asks the controller to slow down (429).',
    remedy: 'None needed; if it stays, see the API server’s priority and fairness settings.',
  },
  ApiForbidden: {
    kind: 'retryable',
    meaning: 'The API server refused the controller’s credentials or permissions (401, 403).',
    remedy: 'Apply the RBAC rules of `manifests/`, or correct the kubeconfig.',
  },
  ApiInvalid: {
    kind: 'retryable',
    meaning: 'The API server refused a write as invalid (400, 422).',
    remedy: 'Read the message; an admission policy of the cluster may stand in the way.',
  },
  ApiNotFound: {
    kind: 'retryable',
    meaning: 'The object is gone, or the cluster does not have this kind of object.',
    remedy: 'None needed for an object that was deleted; otherwise check the cluster’s version.',
  },
  ApiUnavailable: {
    kind: 'retryable',
    meaning: 'The API server could not be reached or answered with an error (5xx, time-out, broken connection).',
    remedy: 'None needed while it is short; otherwise check the API server and the network to it.',
  },
  NotLeader: {
    kind: 'retryable',
    meaning: 'This replica lost its Lease, or could not renew it in time, so it may write nothing.',
    remedy: 'None needed: another replica takes over, or this one goes on once it has renewed the Lease.',
  },
  Bug: {
    kind: 'bug',
    meaning: 'Something that the code did not expect.',
    remedy: 'Report it with the logged stack.',
  },
} as const;

/** The row of a code. */
export function errorRow(code: ErrorCode): ErrorRow {
  return ERRORS[code];
}

export type ErrorCode = keyof typeof ERRORS;

export interface BallastErrorOptions {
  readonly cause?: unknown;
  /** The field or setting at fault, in dotted form (`spec.ports[1].protocol`, `metadata.annotations[…]`). */
  readonly field?: string;
  /** How long the other side asked us to wait, in milliseconds. */
  readonly retryAfterMs?: number;
}

/** An error with a code of the table above; its `kind` follows from the code. */
export class BallastError extends Error {
  override readonly name = 'BallastError';
  readonly code: ErrorCode;
  readonly field: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, options: BallastErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.field = options.field;
    this.retryAfterMs = options.retryAfterMs;
  }

  get kind(): FailureKind {
    return ERRORS[this.code].kind;
  }
}

/** Gives every thrown value a place in the table; what nobody expected is a bug. */
export function classify(error: unknown): BallastError {
  if (error instanceof BallastError) return error;
  return new BallastError('Bug', error instanceof Error ? error.message : String(error), { cause: error });
}

/** Whether the value is an abort (of an AbortSignal), which is an ending and not a failure. */
export function isAbort(error: unknown): boolean {
  return (
    error instanceof Error &&
    (error.name === 'AbortError' || error.name === 'TimeoutError') &&
    !(error instanceof BallastError)
  );
}
