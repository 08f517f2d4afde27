import type { Asked, NodeState, Operation } from './script.ts';

/** What the users want at a moment: follows from the operations alone, whatever the cluster makes of them. */
export interface Intent {
  readonly services: ReadonlyMap<string, Asked>;
  readonly nodes: ReadonlyMap<string, NodeState>;
}

export const NOTHING: Intent = { services: new Map(), nodes: new Map() };

/** The intent after one more operation. One about a Service that is not there changes nothing. */
export function after(intent: Intent, operation: Operation): Intent {
  const services = new Map(intent.services);
  const nodes = new Map(intent.nodes);
  switch (operation.do) {
    case 'create':
      if (!services.has(operation.service)) services.set(operation.service, operation.asked);
      break;
    case 'recreate':
      services.set(operation.service, operation.asked);
      break;
    case 'edit': {
      const before = services.get(operation.service);
      if (before) services.set(operation.service, { ...before, ...operation.change });
      break;
    }
    case 'delete':
      services.delete(operation.service);
      break;
    case 'node':
      if (operation.state) nodes.set(operation.node, operation.state);
      else nodes.delete(operation.node);
      break;
    case 'tamper':
    case 'endpoints':
  }
  return { services, nodes };
}

/** Whether the operation means something in this state: a shortened log may edit what it no longer creates. */
export function makesSense(intent: Intent, operation: Operation): boolean {
  if (operation.do === 'create') return !intent.services.has(operation.service);
  return operation.do !== 'edit' || intent.services.has(operation.service);
}
