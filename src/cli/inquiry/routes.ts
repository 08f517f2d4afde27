import { BallastError } from '../../errors.ts';
import type { HealthServer } from '../../telemetry/health.ts';
import type { Inquiry, Selection } from './inquiry.ts';
import { EXPLAIN_PATH, PLAN_PATH, type ExplainAnswer, type PlanAnswer } from './wire.ts';

/** Lets the running controller answer `ballast plan` and `ballast explain`: it alone knows its own sockets. */
export function addInquiryRoutes(server: Pick<HealthServer, 'route'>, inquiry: Inquiry): void {
  server.route(PLAN_PATH, async (query, signal): Promise<PlanAnswer> => {
    const plans = await inquiry.plans(selectionOf(query), signal);
    return { cluster: inquiry.cluster, plans };
  });
  server.route(EXPLAIN_PATH, async (query, signal): Promise<ExplainAnswer> => {
    const service = query.get('service');
    if (service === null) throw new BallastError('InvalidConfig', 'Say which Service: ?service=<namespace>/<name>.');
    const explanation = await inquiry.explain(service, signal);
    return { cluster: inquiry.cluster, explanation };
  });
}

function selectionOf(query: URLSearchParams): Selection {
  const service = query.get('service');
  if (service !== null) return { service };
  const namespace = query.get('namespace');
  return namespace === null ? {} : { namespace };
}
