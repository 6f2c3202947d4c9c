/**
 * The Node authorizer: a kubelet may touch its own node and what drivers say of its devices, and of secrets, config
 * maps, claims and service accounts only what pods bound to its node use.
 */

import { claimNamesOf } from '../../../kube/devices/pod-claims.ts'
import { requiredField } from '../../../kube/field-selector.ts'
import type { PersistentVolume, Pod, PodSpec, PolicyRule, ResourceSlice } from '../../../kube/types.ts'
import type { Decision, NodePodsReader, RequestAttributes } from '../ports.ts'
import type { UserInfo } from '../user.ts'
import { ruleAllows } from './rules.ts'

const PREFIX = 'system:node:'

/** The node that a user in system:nodes speaks for, or null. */
export function nodeNameOf(user: UserInfo): string | null {
  if (!user.groups.includes('system:nodes') || !user.username.startsWith(PREFIX)) return null
  return user.username.slice(PREFIX.length)
}

const noOpinion = (reason: string): Decision => ({ allowed: false, reason })
const allowed: Decision = { allowed: true, reason: '' }
const READS = ['get', 'list', 'watch']

/** `nodeRules` are those of the ClusterRole system:node, for what is not about one object of this node. */
export function createNodeAuthorizer(parts: {
  readonly objects: NodePodsReader
  readonly nodeRules: readonly PolicyRule[]
  /** Whether a node of this name was taken out of the cluster, although its certificate is still valid. */
  readonly isRemoved?: (node: string) => boolean
}): (attributes: RequestAttributes) => Decision {
  return attributes => {
    const node = nodeNameOf(attributes.user)
    if (node === null) return noOpinion('')
    if (parts.isRemoved?.(node)) return noOpinion(`the node ${node} was taken out of the cluster`)
    if (attributes.isResource) {
      const special = decideSpecial(node, attributes, parts.objects)
      if (special !== null) return special
    }
    return parts.nodeRules.some(rule => ruleAllows(rule, attributes)) ? allowed : noOpinion('')
  }
}

/** Null: no rule of its own. */
function decideSpecial(node: string, request: RequestAttributes, objects: NodePodsReader): Decision | null {
  switch (`${request.resource}.${request.group}`) {
    case 'secrets.':
    case 'configmaps.':
      return readReferenced(node, request, objects)
    case 'persistentvolumeclaims.':
      return request.subresource === 'status' ? null : getReferenced(node, request, objects)
    case 'resourceclaims.resource.k8s.io':
    case 'persistentvolumes.':
      return getReferenced(node, request, objects)
    case 'serviceaccounts.':
      return decideServiceAccount(node, request, objects)
    case 'leases.coordination.k8s.io':
      return decideOwnLease(node, request)
    case 'csinodes.storage.k8s.io':
      return decideOwnNamed(node, request, ['get', 'create', 'update', 'patch', 'delete'])
    case 'resourceslices.resource.k8s.io':
      return decideSlice(node, request, objects)
    case 'nodes.':
      return decideNode(node, request)
    case 'pods.':
      return decidePod(node, request, objects)
    default:
      return null
  }
}

function readReferenced(node: string, request: RequestAttributes, objects: NodePodsReader): Decision {
  if (!READS.includes(request.verb)) return noOpinion(`can only read resources of this type`)
  return getReferenced(node, { ...request, verb: 'get' }, objects)
}

function getReferenced(node: string, request: RequestAttributes, objects: NodePodsReader): Decision {
  if (request.verb !== 'get') return noOpinion('can only get individual resources of this type')
  if (request.subresource !== '') return noOpinion('cannot get subresource')
  if (request.name === '') return noOpinion('no object name found')
  return isReferenced(node, request, objects) ? allowed : noOpinion(noRelationship(node))
}

const noRelationship = (node: string): string =>
  `no relationship found between node ${JSON.stringify(node)} and this object`

function isReferenced(node: string, request: RequestAttributes, objects: NodePodsReader): boolean {
  if (request.resource === 'persistentvolumes') return usesVolume(node, request.name, objects)
  if (request.resource === 'secrets' && isOfVolume(node, request, objects)) return true
  return objects
    .podsOn(node, request.namespace)
    .some(pod =>
      referencesOf(pod).some(ref => ref.resource === request.resource && ref.name === request.name),
    )
}

function usesVolume(node: string, volume: string, objects: NodePodsReader): boolean {
  return volumesOn(node, objects).has(volume)
}

function volumesOn(node: string, objects: NodePodsReader): ReadonlySet<string> {
  const names = objects.podsOn(node).flatMap(pod =>
    referencesOf(pod)
      .filter(({ resource }) => resource === 'persistentvolumeclaims')
      .map(({ resource, name }) => {
        const claim = objects.get('', resource, pod.metadata.namespace ?? '', name)
        return (claim?.['spec'] as { volumeName?: string } | undefined)?.volumeName ?? ''
      }),
  )
  return new Set(names.filter(name => name !== ''))
}

/** Secrets that the node's part of a CSI driver is given; those of its controller are none of a node's business. */
function isOfVolume(node: string, { namespace, name }: RequestAttributes, objects: NodePodsReader): boolean {
  for (const volume of volumesOn(node, objects)) {
    const found = objects.get('', 'persistentvolumes', '', volume) as unknown as PersistentVolume | null
    // A claim may name any volume: what counts is whom the volume is for.
    const { claimRef, csi } = found?.spec ?? {}
    if (!claimRef || !usesClaim(node, claimRef, objects)) continue
    const refs = [csi?.nodeStageSecretRef, csi?.nodePublishSecretRef, csi?.nodeExpandSecretRef]
    if (refs.some(ref => ref?.name === name && ref.namespace === namespace)) return true
  }
  return false
}

function usesClaim(
  node: string,
  claim: { readonly namespace?: string; readonly name?: string },
  objects: NodePodsReader,
): boolean {
  return objects
    .podsOn(node, claim.namespace)
    .some(pod =>
      referencesOf(pod).some(
        ({ resource, name }) => resource === 'persistentvolumeclaims' && name === claim.name,
      ),
    )
}

interface Reference {
  readonly resource:
    | 'secrets'
    | 'configmaps'
    | 'persistentvolumeclaims'
    | 'serviceaccounts'
    | 'resourceclaims'
  readonly name: string
}

/** The objects of the pod's own namespace that its kubelet needs. */
export function referencesOf(pod: Pod): readonly Reference[] {
  const spec = pod.spec
  if (spec === undefined) return []
  const found: Reference[] = []
  const add = (resource: Reference['resource'], name: string | undefined) => {
    if (name !== undefined && name !== '') found.push({ resource, name })
  }
  add('serviceaccounts', spec.serviceAccountName)
  for (const secret of spec.imagePullSecrets ?? []) add('secrets', secret.name)
  for (const container of containersOf(spec)) {
    for (const from of container.envFrom ?? []) {
      add('secrets', from.secretRef?.name)
      add('configmaps', from.configMapRef?.name)
    }
    for (const { valueFrom } of container.env ?? []) {
      add('secrets', valueFrom?.secretKeyRef?.name)
      add('configmaps', valueFrom?.configMapKeyRef?.name)
    }
  }
  for (const volume of spec.volumes ?? []) addVolume(volume, pod, add)
  for (const claim of claimNamesOf(pod)) add('resourceclaims', claim)
  return found
}

function addVolume(
  volume: NonNullable<PodSpec['volumes']>[number],
  pod: Pod,
  add: (resource: Reference['resource'], name: string | undefined) => void,
): void {
  add('secrets', volume.secret?.secretName)
  add('configmaps', volume.configMap?.name)
  add('persistentvolumeclaims', volume.persistentVolumeClaim?.claimName)
  if (volume.ephemeral) add('persistentvolumeclaims', `${pod.metadata.name}-${volume.name}`)
  add('secrets', volume.csi?.nodePublishSecretRef?.name)
  for (const source of volume.projected?.sources ?? []) {
    add('secrets', source.secret?.name)
    add('configmaps', source.configMap?.name)
  }
}

function containersOf(spec: PodSpec) {
  return [...spec.containers, ...(spec.initContainers ?? []), ...(spec.ephemeralContainers ?? [])]
}

function decideServiceAccount(node: string, request: RequestAttributes, objects: NodePodsReader): Decision {
  const makesToken = request.verb === 'create' && request.subresource === 'token'
  const reads = request.verb === 'get' && request.subresource === ''
  if (!makesToken && !reads)
    return noOpinion('can only get individual resources of this type or create tokens')
  return isReferenced(node, request, objects) ? allowed : noOpinion(noRelationship(node))
}

function decideOwnLease(node: string, request: RequestAttributes): Decision {
  const verbs = ['get', 'create', 'update', 'patch', 'delete']
  if (!verbs.includes(request.verb))
    return noOpinion('can only get, create, update, patch, or delete a node lease')
  if (request.namespace !== 'kube-node-lease') {
    return noOpinion('can only access leases in the "kube-node-lease" system namespace')
  }
  if (request.verb === 'create' || request.name === node) return allowed
  return noOpinion('can only access node lease with the same name as the requesting node')
}

function decideOwnNamed(node: string, request: RequestAttributes, verbs: readonly string[]): Decision {
  if (!verbs.includes(request.verb))
    return noOpinion('can only get, create, update, patch, or delete a CSINode')
  if (request.subresource !== '') return noOpinion('cannot authorize CSINode subresources')
  if (request.verb === 'create' || request.name === node) return allowed
  return noOpinion('can only access CSINode with the same name as the requesting node')
}

/** What it makes is judged by NodeRestriction, which sees it. */
function decideSlice(node: string, request: RequestAttributes, objects: NodePodsReader): Decision {
  if (request.subresource !== '') return noOpinion('cannot authorize ResourceSlice subresources')
  switch (request.verb) {
    case 'create':
      return allowed
    case 'get':
    case 'update':
    case 'patch':
    case 'delete': {
      const slice = objects.get(
        request.group,
        request.resource,
        '',
        request.name,
      ) as unknown as ResourceSlice | null
      return slice?.spec?.nodeName === node ? allowed : noOpinion(noRelationship(node))
    }
    case 'watch':
    case 'list':
    case 'deletecollection':
      if (requiredField(request.fieldSelector ?? [], 'spec.nodeName') === node) return allowed
      return noOpinion(
        'can only list/watch/deletecollection resourceslices with spec.nodeName field selector',
      )
    default:
      return noOpinion(`the verb ${request.verb} is not for ResourceSlices`)
  }
}

/** A list or watch bears the name that its field selector asks for; without one it asks for all nodes. */
function decideNode(node: string, request: RequestAttributes): Decision | null {
  if (!READS.includes(request.verb) || request.subresource !== '') return null
  if (request.name === node) return allowed
  return noOpinion(`node ${JSON.stringify(node)} cannot read all nodes, only its own Node object`)
}

function decidePod(node: string, request: RequestAttributes, objects: NodePodsReader): Decision | null {
  if (request.verb === 'list' || request.verb === 'watch') {
    if (requiredField(request.fieldSelector ?? [], 'spec.nodeName') === node) return allowed
    return noOpinion('can only list/watch pods with spec.nodeName field selector')
  }
  if (request.verb !== 'get' || request.subresource !== '' || request.name === '') return null
  const pod = objects.get('', 'pods', request.namespace, request.name) as unknown as Pod | null
  if (pod === null || pod.spec?.nodeName === node) return allowed
  return noOpinion(`node ${JSON.stringify(node)} can only get pods that are bound to it`)
}
