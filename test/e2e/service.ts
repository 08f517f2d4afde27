/** Services of the lab's cluster, and short ways to say what users do with them. */
import type { Condition, Service } from '#src/kube/wire';
import { LabRequestError, type Lab } from '#test/lab/lab';
import { waitFor } from '#test/lab/wait';

export type ServiceSpec = NonNullable<Service['spec']>;

/** What is added to the Service that `createService` makes by default. */
export interface Manifest {
  readonly annotations?: Readonly<Record<string, string>>;
  readonly spec?: ServiceSpec;
}

const WITHIN_MS = 60_000;

/** A Service in namespace `default`. */
export class LabService {
  readonly #lab: Lab;
  readonly name: string;

  constructor(lab: Lab, name: string) {
    this.#lab = lab;
    this.name = name;
  }

  get #path(): string {
    return `/api/v1/namespaces/default/services/${this.name}`;
  }

  get(): Promise<Service> {
    return this.#lab.request<Service>('GET', this.#path);
  }

  /** A merge patch. */
  patch(change: object): Promise<Service> {
    return this.#lab.request<Service>('PATCH', this.#path, change);
  }

  patchSpec(spec: object): Promise<Service> {
    return this.patch({ spec });
  }

  /** Deletes it and waits until it is gone. */
  async delete(): Promise<void> {
    await this.#lab.request('DELETE', this.#path);
    await waitFor({
      what: `Service ${this.name} to be gone`,
      timeoutMs: WITHIN_MS,
      check: async () => {
        try {
          await this.get();
          return undefined;
        } catch (error) {
          if (error instanceof LabRequestError && error.status === 404) return true;
          throw error;
        }
      },
    });
  }

  /** Waits until the controller says that the present spec is programmed; returns the Service. */
  untilProgrammed(): Promise<Service> {
    return this.until('to be programmed as it now is', (service) => {
      const programmed = condition(service, 'Programmed');
      return programmed?.status === 'True' && programmed.observedGeneration === service.metadata.generation;
    });
  }

  /** Its address, once it is programmed; throws when it has several. */
  async address(): Promise<string> {
    const all = await this.addresses();
    const [first] = all;
    if (first === undefined || all.length > 1) throw new Error(`${this.name} has the addresses ${all.join(', ')}`);
    return first;
  }

  /** Its addresses, once it is programmed. */
  async addresses(): Promise<readonly string[]> {
    return addressesOf(await this.untilProgrammed());
  }

  /** Waits until the Service is as asked; the message of a vain wait shows its spec and status. */
  async until(what: string, is: (service: Service) => boolean): Promise<Service> {
    return waitFor({
      what: `Service ${this.name} ${what}`,
      timeoutMs: WITHIN_MS,
      check: async () => {
        const service = await this.get();
        if (is(service)) return service;
        throw new Error(JSON.stringify({ spec: service.spec, status: service.status }));
      },
    });
  }
}

/** Creates a Service of our class for the pods with the label `app` (port 80 to netexec), unless the spec says otherwise. */
export async function createService(
  lab: Lab,
  name: string,
  app: string,
  { annotations, spec }: Manifest = {},
): Promise<LabService> {
  const type = spec?.type ?? 'LoadBalancer';
  await lab.request('POST', '/api/v1/namespaces/default/services', {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, ...(annotations && { annotations }) },
    spec: {
      type,
      ...(type === 'LoadBalancer' && { loadBalancerClass: 'ballast.dev/proxy' }),
      selector: { app },
      ports: [{ port: 80, targetPort: 8080 }],
      ...spec,
    },
  });
  return new LabService(lab, name);
}

export function addressesOf(service: Service): readonly string[] {
  return (service.status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => ip ?? []);
}

export function nodePortsOf(service: Service): readonly number[] {
  return (service.spec?.ports ?? []).map(({ nodePort }) => nodePort ?? 0);
}

/** One of our conditions: `Accepted`, `Programmed` or `Ready`. */
export function condition(service: Service, type: string): Condition | undefined {
  return service.status?.conditions?.find((each) => each.type === `ballast.dev/${type}`);
}
