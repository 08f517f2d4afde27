import { describe, expect, it } from 'vitest';
import { service } from '#test/fakes/builders';
import { assignmentOf, type AllowedGroups } from '#src/loadbalancer/group';

const allowed: AllowedGroups = new Map<string, readonly string[] | '*'>([
  ['infra/edge', ['default', 'shop']],
  ['infra/open', '*'],
]);

function assign(group: string | undefined, namespace = 'default'): ReturnType<typeof assignmentOf> {
  const annotations = group === undefined ? {} : { 'ballast.dev/load-balancer': group };
  return assignmentOf(service({ metadata: { namespace, annotations } }), allowed);
}

describe('assignmentOf', () => {
  it('gives a Service without the annotation its own load balancer', () => {
    expect(assign(undefined)).toEqual({ id: { kind: 'service', namespace: 'default', name: 'web' } });
  });

  it.each([
    ['shared', 'default', 'default', 'shared'],
    ['default/shared', 'default', 'default', 'shared'],
    ['infra/edge', 'shop', 'infra', 'edge'],
    ['infra/open', 'anybody', 'infra', 'open'],
    ['a', 'default', 'default', 'a'],
    ['a'.repeat(63), 'default', 'default', 'a'.repeat(63)],
  ])('puts %s, asked for in %s, into the group %s/%s', (group, from, namespace, name) => {
    expect(assign(group, from)).toEqual({ id: { kind: 'group', namespace, name } });
  });

  it.each(['infra/edge', 'infra/unknown', 'other/shared'])('refuses %s to a namespace that may not join', (group) => {
    const { id, refusal } = assign(group, 'stranger');
    expect(id).toEqual({ kind: 'service', namespace: 'stranger', name: 'web' });
    expect(refusal).toMatchObject({ member: 'service-stranger-web', code: 'GroupNotAllowed' });
    expect(refusal?.message).toContain(group);
    expect(refusal?.field).toBe('metadata.annotations[ballast.dev/load-balancer]');
  });

  it.each(['', ' ', 'Shared', 'a/b/c', '/a', 'a/', '-a', 'a-', 'a.b', 'a'.repeat(64), 'infra/Edge', 'In/edge', 'a\n'])(
    'refuses %j as a name',
    (group) => {
      const { id, refusal } = assign(group);
      expect(id.kind).toBe('service');
      expect(refusal).toMatchObject({ code: 'InvalidAnnotation' });
      expect(refusal?.message).toContain(JSON.stringify(group));
    },
  );
});
