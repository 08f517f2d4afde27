/**
 * Whether a resource version is older than another one of the same resource. They are numbers that grow with each
 * change of the cluster ("Resource version comparability" in Kubernetes' API concepts); a version that is no number
 * cannot be compared and is older than none.
 */
export function isOlderVersion(version: string, than: string): boolean {
  if (!isNumber(version) || !isNumber(than)) return false;
  return BigInt(version) < BigInt(than);
}

function isNumber(version: string): boolean {
  return /^\d+$/.test(version);
}
