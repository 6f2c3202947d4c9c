/** Subresources that the generic path serves itself; those of other parts come as virtual handlers. */

import { connectPod, isPodConnection } from '../streaming/connect-pod.ts'
import { connectProxy, isProxied } from '../streaming/connect-proxy.ts'
import { bind } from './binding.ts'
import { evict } from './eviction.ts'
import { get } from './get.ts'
import { patch } from './patch.ts'
import { podLog } from './pod-log.ts'
import { getScale, patchScale, updateScale } from './scale.ts'
import type { RequestScope, Verb } from './scope.ts'
import { update } from './update.ts'

const scaleVerbs: Readonly<Record<string, Verb>> = {
  get: getScale,
  update: updateScale,
  patch: patchScale,
}

/** Subresources whose body is the object itself; the kind's strategy says what each may change. */
const objectVerbs: Readonly<Record<string, Verb>> = { get, update, patch }

/** Undefined when this server does not do it. */
export function subresourceVerb(scope: RequestScope, name: string): Verb | undefined {
  const { verb } = scope.info
  if (name === 'proxy' && isProxied(scope.info.resource)) return connectProxy
  if (name === 'scale') return scaleVerbs[verb]
  if (scope.info.resource === 'pods' && scope.info.group === '') {
    if (name === 'binding' && verb === 'create') return bind
    if (name === 'eviction' && verb === 'create') return evict
    if (name === 'log' && verb === 'get') return podLog
    if (isPodConnection(name) && (verb === 'get' || verb === 'create')) return connectPod
  }
  const { strategy } = scope.resource
  if (name !== 'status' && strategy.subresources?.[name] === undefined) return undefined
  return objectVerbs[verb]
}
