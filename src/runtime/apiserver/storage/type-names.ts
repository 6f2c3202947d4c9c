/** The name that the model gives the type of a kind, also of kinds that are bodies only (Scale, TokenRequest). */
import type { GroupVersionKind, Model } from '../../../kube/model-types.ts'

export function typeNameOf(model: Model, kind: GroupVersionKind): string | undefined {
  const known = model.byKind(kind)?.typeName
  if (known !== undefined) return known
  const group = kind.group === '' ? 'core' : (kind.group.split('.')[0] ?? '')
  const name = `io.k8s.api.${group}.${kind.version}.${kind.kind}`
  return model.types.has(name) ? name : undefined
}
