import type { ProgressLine } from './progress.ts';

/** How much of each request the audit log keeps; see https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/. */
export type AuditLevel = 'Metadata' | 'Request' | 'RequestResponse';

export interface ControlPlaneOptions {
  /**
   * Controllers that kube-controller-manager runs, by the names of its `--controllers` (`endpointslice-controller`, or
   * `*` for all). Default none: no controller manager is started.
   */
  readonly controllers?: readonly string[];
  /** `--service-cluster-ip-range`; a second range after a comma makes the cluster dual-stack. Default `IPV4_RANGE`. */
  readonly serviceClusterIpRange?: string;
  /** `--service-node-port-range`; default `30000-32767`. */
  readonly serviceNodePortRange?: string;
  /** Writes an audit log at this level to `ControlPlane.auditLogPath`. Default none. */
  readonly audit?: AuditLevel;
  /** More flags of kube-apiserver, after ours, so that they win. */
  readonly apiServerFlags?: readonly string[];
  /** More flags of kube-controller-manager. */
  readonly controllerManagerFlags?: readonly string[];
  /** Gets a line when programs have to be fetched or built first; default standard error. */
  readonly progress?: ProgressLine;
  /** Ends the start, and whatever it had started, when it aborts. Has no effect once the control plane is ready. */
  readonly signal?: AbortSignal;
}

/** ClusterIPs of a cluster with one family. */
export const IPV4_RANGE = '10.96.0.0/16';
/** ClusterIPs of a dual-stack cluster whose first family is IPv4. */
export const DUAL_STACK_RANGE = '10.96.0.0/16,fd00:96::/112';
