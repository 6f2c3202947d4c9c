/** How admission plugins say no, and the questions that most of them ask of a request. */
import type { KubeObject } from '../../../kube/object.ts'
import { forbidden, type StatusError } from '../../../kube/status.ts'
import type { Pod } from '../../../kube/types.ts'
import type { AdmissionRequest } from '../ports.ts'

/** 403 with the object's name, or what its name will begin with. */
export function refuse(request: AdmissionRequest, why: string): StatusError {
  return forbidden(request.resource, nameOf(request), why)
}

export function nameOf(request: AdmissionRequest): string {
  const { object, oldObject } = request
  const metadata = object?.metadata ?? oldObject?.metadata
  return request.name || metadata?.name || metadata?.generateName || ''
}

/** True for a whole object of the core group's `resource`. */
export function isWhole(request: AdmissionRequest, group: string, resource: string): boolean {
  return (
    request.resource.group === group && request.resource.resource === resource && request.subresource === ''
  )
}

/** The pod that is about to be created, or null for every other request. */
export function podToCreate(request: AdmissionRequest): Pod | null {
  if (request.operation !== 'CREATE' || !isWhole(request, '', 'pods') || request.object === null) return null
  const pod = request.object as unknown as Pod
  return pod.spec === undefined ? null : pod
}

/** The pod that is about to be created or changed as a whole, or null for every other request. */
export function podToWrite(request: AdmissionRequest): Pod | null {
  if (request.operation !== 'UPDATE') return podToCreate(request)
  return isWhole(request, '', 'pods') ? (request.object as unknown as Pod | null) : null
}

export const isMirrorPod = (pod: Pick<KubeObject, 'metadata'>): boolean =>
  pod.metadata.annotations?.['kubernetes.io/config.mirror'] !== undefined

export const quoted = (text: unknown): string => JSON.stringify(text)
