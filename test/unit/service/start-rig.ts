import { onTestFinished } from 'vitest';
import { Rig, type RigOptions } from '#test/fakes/service-rig';

/** A running controller that ends with the test. */
export async function startRig(options?: RigOptions): Promise<Rig> {
  const rig = new Rig(options);
  onTestFinished(() => rig.stop());
  await rig.start();
  return rig;
}
