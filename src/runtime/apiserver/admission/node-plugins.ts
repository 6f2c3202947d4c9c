/** New nodes begin as not ready, and a kubelet changes its own node and its own pods only. */
import { isDeepStrictEqual } from 'node:util'
import type { Node, PersistentVolumeClaim, Pod, PodSpec, ResourceSlice } from '../../../kube/types.ts'
import { nodeNameOf } from '../authz/node-authorizer.ts'
import type { AdmissionPlugin, AdmissionRequest, ObjectReader } from '../ports.ts'
import { isMirrorPod, isWhole, quoted, refuse } from './refuse.ts'

const NOT_READY = 'node.kubernetes.io/not-ready'

export function taintNodesByCondition(): AdmissionPlugin {
  return {
    name: 'TaintNodesByCondition',
    admit(request) {
      if (request.operation !== 'CREATE' || !isWhole(request, '', 'nodes') || request.object === null) return
      const node = request.object as unknown as Node
      const taints = node.spec?.taints ?? []
      if (taints.some(taint => taint.key === NOT_READY && taint.effect === 'NoSchedule')) return
      node.spec = { ...node.spec, taints: [...taints, { key: NOT_READY, effect: 'NoSchedule' }] }
    },
  }
}

export function nodeRestriction(objects: ObjectReader): AdmissionPlugin {
  return {
    name: 'NodeRestriction',
    validate(request) {
      if (!request.user.groups.includes('system:nodes')) return
      const node = nodeNameOf(request.user)
      if (node === null || node === '') {
        throw refuse(request, `could not determine node from user ${quoted(request.user.username)}`)
      }
      const { group, resource } = request.resource
      if (group === '' && resource === 'pods') checkPod(node, request, objects)
      else if (group === '' && resource === 'nodes') checkNode(node, request)
      else if (group === '' && resource === 'persistentvolumeclaims') checkClaim(node, request)
      else if (group === 'coordination.k8s.io' && resource === 'leases') checkLease(node, request)
      else if (group === 'storage.k8s.io' && resource === 'csinodes') checkOwnName(node, request, 'CSINode')
      else if (group === 'resource.k8s.io' && resource === 'resourceslices') checkSlice(node, request)
    },
  }
}

function checkPod(node: string, request: AdmissionRequest, objects: ObjectReader): void {
  const only = (what: string) => refuse(request, `node ${quoted(node)} can only ${what}`)
  const nodeOf = (pod: Pod | null) => pod?.spec?.nodeName
  const object = request.object as unknown as Pod | null
  const old = request.oldObject as unknown as Pod | null
  if (request.subresource === 'status') {
    if (nodeOf(old ?? object) !== node) {
      throw only('update pod status for pods with spec.nodeName set to itself')
    }
    if (changedLabels(old?.metadata.labels ?? {}, object?.metadata.labels ?? {}).length > 0) {
      throw refuse(request, `node ${quoted(node)} cannot update labels through pod status`)
    }
  } else if (request.subresource === 'eviction') {
    const pod = objects.get('', 'pods', request.namespace, request.name) as unknown as Pod | null
    if (nodeOf(pod) !== node) throw only('evict pods with spec.nodeName set to itself')
  } else if (request.subresource !== '') {
    throw refuse(request, `unexpected pod subresource ${quoted(request.subresource)}`)
  } else if (request.operation === 'DELETE') {
    if (nodeOf(old) !== node) throw only('delete pods with spec.nodeName set to itself')
  } else if (request.operation === 'CREATE' && object !== null) {
    checkMirrorPod(node, request, object, objects)
  }
}

function checkMirrorPod(node: string, request: AdmissionRequest, pod: Pod, objects: ObjectReader): void {
  const refused = (why: string) => refuse(request, why)
  const only = (what: string) => refused(`node ${quoted(node)} can only create pods with ${what}`)
  if (!isMirrorPod(pod)) {
    const annotation = quoted('kubernetes.io/config.mirror')
    throw refused(
      `pod does not have ${annotation} annotation, node ${quoted(node)} can only create mirror pods`,
    )
  }
  if (pod.spec?.nodeName !== node) {
    throw only('spec.nodeName set to itself')
  }
  checkOwner(node, pod, objects, { refused, only })
  const { spec } = pod
  if (spec.serviceAccountName)
    throw refused(`node ${quoted(node)} can not create pods that reference a service account`)
  const [what] = referencesOf(spec)
  if (what !== undefined) throw refused(`node ${quoted(node)} can not create pods that reference ${what}`)
}

/** The node itself, so that its mirrors go when it goes. */
function checkOwner(
  node: string,
  pod: Pod,
  objects: ObjectReader,
  { refused, only }: Record<'refused' | 'only', (text: string) => Error>,
): void {
  const [owner, ...others] = pod.metadata.ownerReferences ?? []
  if (others.length > 0) throw only('a single owner reference set to itself')
  if (owner?.apiVersion !== 'v1' || owner.kind !== 'Node' || owner.name !== node) {
    throw only('an owner reference set to itself')
  }
  if (owner.controller !== true) throw only('a controller owner reference set to itself')
  if (owner.blockOwnerDeletion === true) {
    throw refused(`node ${quoted(node)} must not set blockOwnerDeletion on an owner reference`)
  }
  const uid = objects.get('', 'nodes', '', node)?.metadata.uid ?? ''
  if (owner.uid !== uid) throw refused(`node ${node} UID mismatch: expected ${owner.uid} got ${uid}`)
}

/** Kinds of objects that the pod refers to, in the order in which they are asked about. */
function referencesOf(spec: PodSpec): readonly string[] {
  const volumes = spec.volumes ?? []
  const sources = volumes.flatMap(volume => [volume, ...(volume.projected?.sources ?? [])])
  const containers = [...(spec.initContainers ?? []), ...spec.containers, ...(spec.ephemeralContainers ?? [])]
  const froms = containers.flatMap(({ envFrom = [] }) => envFrom)
  const values = containers.flatMap(({ env = [] }) => env.map(({ valueFrom }) => valueFrom))
  const storage = volumes.map(({ azureFile, cephfs, csi, flexVolume, rbd, scaleIO, storageos }) => [
    ...[azureFile?.secretName, csi?.nodePublishSecretRef],
    ...[cephfs, flexVolume, rbd, scaleIO, storageos].map(source => source?.secretRef),
  ])
  const hasSecrets =
    (spec.imagePullSecrets ?? []).length > 0 ||
    sources.some(({ secret }) => secret) ||
    storage.flat().some(reference => reference) ||
    froms.some(({ secretRef }) => secretRef) ||
    values.some(value => value?.secretKeyRef)
  const hasConfigMaps =
    sources.some(({ configMap }) => configMap) ||
    froms.some(({ configMapRef }) => configMapRef) ||
    values.some(value => value?.configMapKeyRef)
  const trusts = volumes.some(({ projected }) => projected?.sources?.some(each => each.clusterTrustBundle))
  const found: readonly [string, boolean][] = [
    ['secrets', hasSecrets],
    ['configmaps', hasConfigMaps],
    ['clustertrustbundles', trusts],
    ['persistentvolumeclaims', volumes.some(volume => volume.persistentVolumeClaim)],
    ['resourceclaims', (spec.resourceClaims ?? []).length > 0],
  ]
  return found.filter(([, isThere]) => isThere).map(([what]) => what)
}

/** Of a claim a node says how far its volume has grown, and nothing else. */
function checkClaim(node: string, request: AdmissionRequest): void {
  if (request.subresource !== 'status')
    throw refuse(request, `unexpected persistentvolumeclaims subresource ${quoted(request.subresource)}`)
  if (request.operation !== 'UPDATE')
    throw refuse(request, `unexpected operation ${quoted(request.operation)}`)
  const others = (object: AdmissionRequest['object']) => {
    const { metadata, spec, status } = object as unknown as PersistentVolumeClaim
    const { resourceVersion: _version, managedFields: _fields, ...kept } = metadata
    const { capacity, conditions, allocatedResources, allocatedResourceStatuses, ...rest } = status ?? {}
    return { metadata: kept, spec, status: rest }
  }
  if (isDeepStrictEqual(others(request.oldObject), others(request.object))) return
  const what = 'status.quantity and status.conditions'
  throw refuse(request, `node ${quoted(node)} is not allowed to update fields other than ${what}`)
}

function checkNode(node: string, request: AdmissionRequest): void {
  const name = request.object?.metadata.name ?? request.name
  if (name !== node)
    throw refuse(request, `node ${quoted(node)} is not allowed to modify node ${quoted(name)}`)
  const object = request.object as unknown as Node | null
  if (object === null) return
  const old = request.oldObject as unknown as Node | null
  if (
    request.operation === 'UPDATE' &&
    !isDeepStrictEqual(old?.spec?.taints ?? [], object.spec?.taints ?? [])
  ) {
    throw refuse(request, `node ${quoted(node)} is not allowed to modify taints`)
  }
  // A node whose owner is gone is collected, and could then come back with other taints and labels.
  const [owners = [], owned = []] = [object.metadata.ownerReferences, old?.metadata.ownerReferences]
  if (request.operation === 'UPDATE' && !isDeepStrictEqual(owned, owners)) {
    throw refuse(request, `node ${quoted(node)} is not allowed to modify ownerReferences`)
  }
  const changed = changedLabels(old?.metadata.labels ?? {}, object.metadata.labels ?? {})
  const protectedLabels = changed.filter(label => !mayKubeletSet(label)).sort()
  if (protectedLabels.length === 0) return
  const text = protectedLabels.join(', ')
  if (request.operation !== 'CREATE') throw refuse(request, `is not allowed to modify labels: ${text}`)
  throw refuse(request, `node ${quoted(node)} is not allowed to set the following labels: ${text}`)
}

function changedLabels(before: Record<string, string>, after: Record<string, string>): readonly string[] {
  const keys = new Set([...Object.keys(before), ...Object.keys(after)])
  return [...keys].filter(key => before[key] !== after[key])
}

const kubeletLabels = new Set([
  'kubernetes.io/hostname',
  'kubernetes.io/os',
  'kubernetes.io/arch',
  'beta.kubernetes.io/os',
  'beta.kubernetes.io/arch',
  'beta.kubernetes.io/instance-type',
  'node.kubernetes.io/instance-type',
  'topology.kubernetes.io/region',
  'topology.kubernetes.io/zone',
  'failure-domain.beta.kubernetes.io/region',
  'failure-domain.beta.kubernetes.io/zone',
])

/** Labels outside Kubernetes' own domains are free; of those inside, these and two prefixes. */
function mayKubeletSet(label: string): boolean {
  const domain = label.includes('/') ? (label.split('/')[0] ?? '') : ''
  const inside = (parent: string) => domain === parent || domain.endsWith(`.${parent}`)
  if (inside('node-restriction.kubernetes.io')) return false
  if (!inside('kubernetes.io') && !inside('k8s.io')) return true
  if (inside('kubelet.kubernetes.io') || inside('node.kubernetes.io')) return true
  return kubeletLabels.has(label)
}

function checkLease(node: string, request: AdmissionRequest): void {
  if (request.namespace !== 'kube-node-lease') {
    throw refuse(request, 'can only access leases in the "kube-node-lease" system namespace')
  }
  checkOwnName(node, request, 'node lease')
}

/** The rest is the authorizer's affair, which knows what is there. */
function checkSlice(node: string, request: AdmissionRequest): void {
  if (request.operation !== 'CREATE' && request.operation !== 'DELETE') return
  const slice = (request.object ?? request.oldObject) as unknown as ResourceSlice | null
  if (slice === null || slice.spec?.nodeName === node) return
  const what = 'can only create/delete ResourceSlice with the same NodeName as the requesting node'
  throw refuse(request, what)
}

function checkOwnName(node: string, request: AdmissionRequest, what: string): void {
  const name = request.object?.metadata.name ?? request.name
  if (name === node) return
  throw refuse(request, `can only access ${what} with the same name as the requesting node`)
}
