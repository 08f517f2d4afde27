/**
 * How many files of integration tests run at once. They mostly wait: for a control plane to start, for a Lease to run
 * out. Each has a control plane and addresses of its own.
 */
export const INTEGRATION_WORKERS = 2;
