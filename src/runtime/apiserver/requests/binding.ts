/** pods/binding: the scheduler's word which node a pod goes to. It is said once. */
import { must } from '../../../base/assert.ts'
import type { KubeResponse } from '../../../client/transport.ts'
import { required } from '../../../kube/field-error.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { conflict, invalid } from '../../../kube/status.ts'
import { formatTime } from '../../../kube/time.ts'
import { admitBody } from './admit-body.ts'
import { callerOf, placeInNamespace } from './create.ts'
import { decodeBody, internalResource } from './decode-body.ts'
import { valueResponse } from './respond.ts'
import { negotiated, type RequestScope } from './scope.ts'
import { updateObject } from './update-object.ts'
import { parseWriteOptions } from './write-options.ts'

interface Binding extends KubeObject {
  target?: { kind?: string; name?: string }
}

interface Condition {
  type: string
  status: string
  lastProbeTime?: string | null
  lastTransitionTime?: string
}

export async function bind(scope: RequestScope): Promise<KubeResponse> {
  const options = parseWriteOptions(scope.query, 'CreateOptions')
  const binding = decodeBody(scope, { fieldValidation: options.fieldValidation }) as Binding
  placeInNamespace(scope, binding)
  await admitBody(scope, binding, options.dryRun)
  return bindPod(scope, binding, options.dryRun)
}

/** POST to `bindings`: the older way to say it, where the Binding's own name is the pod's. */
export async function bindNamed(scope: RequestScope): Promise<KubeResponse> {
  const options = parseWriteOptions(scope.query, 'CreateOptions')
  const binding = decodeBody(scope, { fieldValidation: options.fieldValidation }) as Binding
  placeInNamespace(scope, binding)
  const { name = '' } = binding.metadata
  if (name === '') throw invalid({ group: '', kind: 'Binding' }, name, [required('metadata.name')])
  await admitBody(scope, binding, options.dryRun)
  const resource = must(scope.context.resources.stored('', 'pods'), 'pods are stored')
  return bindPod({ ...scope, resource, info: { ...scope.info, name } }, binding, options.dryRun)
}

async function bindPod(scope: RequestScope, binding: Binding, dryRun: boolean): Promise<KubeResponse> {
  const { encoding } = negotiated(scope)
  const nodeName = binding.target?.name ?? ''
  if (nodeName === '') {
    throw invalid({ group: '', kind: 'Binding' }, scope.info.name, [required('target.name')])
  }
  await updateObject(scope.context, {
    resource: internalResource(scope),
    namespace: scope.info.namespace,
    name: scope.info.name,
    subresource: 'binding',
    caller: callerOf(scope, dryRun),
    isAdmitted: true,
    change: pod => boundPod(scope, pod, binding, nodeName),
  })
  const status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 }
  return valueResponse(201, status, encoding)
}

function boundPod(scope: RequestScope, pod: KubeObject, binding: Binding, nodeName: string): KubeObject {
  const { info } = scope.resource
  const name = scope.info.name
  const refuse = (why: string) => conflict({ ...info, resource: 'pods/binding' }, name, why)
  const spec = pod['spec'] as { nodeName?: string; schedulingGates?: unknown[] }
  if (pod.metadata.deletionTimestamp !== undefined) {
    throw refuse(`pod ${name} is being deleted, cannot be assigned to a host`)
  }
  if (spec.nodeName) throw refuse(`pod ${name} is already assigned to node ${JSON.stringify(spec.nodeName)}`)
  if ((spec.schedulingGates ?? []).length > 0) {
    throw refuse(`pod ${name} has non-empty .spec.schedulingGates`)
  }
  const annotations = { ...pod.metadata.annotations, ...binding.metadata.annotations }
  const labels = { ...pod.metadata.labels, ...binding.metadata.labels }
  const metadata = { ...pod.metadata, resourceVersion: '' }
  if (Object.keys(annotations).length > 0) metadata.annotations = annotations
  if (Object.keys(labels).length > 0) metadata.labels = labels
  return {
    ...pod,
    metadata,
    spec: { ...spec, nodeName },
    status: scheduledStatus(pod, formatTime(scope.context.clock.now())),
  }
}

/** Where room was made for it says nothing more. */
function scheduledStatus(pod: KubeObject, now: string): object {
  const { nominatedNodeName: _nominee, ...status } = (pod['status'] ?? {}) as {
    nominatedNodeName?: string
    conditions?: Condition[]
  }
  const others = (status.conditions ?? []).filter(one => one.type !== 'PodScheduled')
  const scheduled = { type: 'PodScheduled', status: 'True', lastProbeTime: null, lastTransitionTime: now }
  return { ...status, conditions: [...others, scheduled] }
}
