/** An error of the lab: what went wrong, where, and what to do about it. */
export class LabError extends Error {
  override readonly name = 'LabError';

  constructor(message: string, options: { readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
  }
}

/** The API server of a lab answered a request with an error status. */
export class LabRequestError extends LabError {
  /** HTTP status code. */
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }
}
