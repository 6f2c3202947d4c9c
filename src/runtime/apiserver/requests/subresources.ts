/** Subresources that the generic path serves itself; those of other parts come as virtual handlers. */
import type { KubeObject } from '../../../kube/object.ts'
import { bind } from './binding.ts'
import { evict } from './eviction.ts'
import { get } from './get.ts'
import { patchWith } from './patch.ts'
import { podLog } from './pod-log.ts'
import type { Verb } from './routes.ts'
import { getScale, patchScale, updateScale } from './scale.ts'
import type { RequestScope } from './scope.ts'
import { plain, type SubresourceRules, updateWith } from './update.ts'

/** Takes one field of what was sent; everything else stays as it is. */
const onlyField = (field: string): SubresourceRules => ({
  rules: 'own',
  merge(current, sent) {
    const next: KubeObject = { ...current, metadata: { ...current.metadata } }
    next.metadata.resourceVersion = sent.metadata.resourceVersion ?? ''
    if (sent.metadata.uid !== undefined) next.metadata.uid = sent.metadata.uid
    next[field] = mergeField(current, sent, field)
    return next
  },
})

const fieldsOf = (value: unknown): Record<string, unknown> => (value ?? {}) as Record<string, unknown>

function mergeField(current: KubeObject, sent: KubeObject, field: string): unknown {
  if (field === 'status') return sent['status']
  const { [field]: _replaced, ...rest } = fieldsOf(current['spec'])
  const value = fieldsOf(sent['spec'])[field]
  return value === undefined ? rest : { ...rest, [field]: value }
}

/** A field of the spec, replaced by the one that was sent. */
const onlySpecField = (field: string): SubresourceRules => ({
  rules: 'own',
  merge(current, sent) {
    const next = onlyField('status').merge(current, sent)
    next['status'] = current['status']
    if (next['status'] === undefined) delete next['status']
    next['spec'] = mergeField(current, sent, field)
    return next
  },
})

const merging: Readonly<Record<string, SubresourceRules>> = {
  status: plain,
  approval: onlyField('status'),
  finalize: onlySpecField('finalizers'),
  ephemeralcontainers: onlySpecField('ephemeralContainers'),
}

const scaleVerbs: Readonly<Record<string, Verb>> = {
  get: getScale,
  update: updateScale,
  patch: patchScale,
}

/** Undefined when this server does not do it. */
export function subresourceVerb(scope: RequestScope, name: string): Verb | undefined {
  const { verb } = scope.info
  if (name === 'scale') return scaleVerbs[verb]
  if (scope.info.resource === 'pods' && scope.info.group === '') {
    if (name === 'binding' && verb === 'create') return bind
    if (name === 'eviction' && verb === 'create') return evict
    if (name === 'log' && verb === 'get') return podLog
  }
  const rules = merging[name]
  if (rules === undefined) return undefined
  if (verb === 'get') return get
  if (verb === 'update') return one => updateWith(one, rules)
  return verb === 'patch' ? one => patchWith(one, rules) : undefined
}
