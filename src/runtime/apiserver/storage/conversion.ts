/**
 * Conversion between two served views of one storage: events (core and events.k8s.io) and
 * horizontal pod autoscalers (autoscaling v1 and v2). Every other kind is served as it is stored.
 */
import { must } from '../../../base/assert.ts'
import type { ResourceInfo } from '../../../kube/model-types.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { autoscalerFromStorage, autoscalerToStorage } from './autoscaler-conversion.ts'
import { eventFromStorage, eventToStorage } from './event-conversion.ts'

interface Conversion {
  /** Both get a complete object and return a new one; apiVersion and kind are set by the caller. */
  toStorage(object: KubeObject): KubeObject
  fromStorage(object: KubeObject): KubeObject
}

const identity: Conversion = { toStorage: object => object, fromStorage: object => object }

const conversions: Readonly<Record<string, Conversion>> = {
  'events.k8s.io/v1/Event>/v1': { toStorage: eventToStorage, fromStorage: eventFromStorage },
  '/v1/Event>events.k8s.io/v1': { toStorage: eventFromStorage, fromStorage: eventToStorage },
  'autoscaling/v1/HorizontalPodAutoscaler>autoscaling/v2': {
    toStorage: autoscalerToStorage,
    fromStorage: autoscalerFromStorage,
  },
  'autoscaling/v2/HorizontalPodAutoscaler>autoscaling/v1': {
    toStorage: autoscalerFromStorage,
    fromStorage: autoscalerToStorage,
  },
}

function conversionFor(info: ResourceInfo): Conversion {
  const { storage } = info
  if (storage.group === info.group && storage.version === info.version) return identity
  const key = `${info.group}/${info.version}/${info.kind}>${storage.group}/${storage.version}`
  return must(conversions[key], `conversion ${key}`)
}

const versioned = (object: KubeObject, group: string, version: string): KubeObject => ({
  ...object,
  apiVersion: group === '' ? version : `${group}/${version}`,
})

/** The object as it is stored, from the version that `info` serves. */
export function toStorage(info: ResourceInfo, object: KubeObject): KubeObject {
  const { storage } = info
  return versioned(conversionFor(info).toStorage(object), storage.group, storage.version)
}

/** The object as `info` serves it, from the stored version. */
export function fromStorage(info: ResourceInfo, object: KubeObject): KubeObject {
  return versioned(conversionFor(info).fromStorage(object), info.group, info.version)
}
