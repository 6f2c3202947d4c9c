/** The page of one object: what it is, how it does, its pods and its events. */
import { html } from 'htm/preact'
import type { ComponentChildren } from 'preact'
import { PodActions, WorkloadActions } from './actions.ts'
import { type Row, useCollection } from './collection.ts'
import { ageOf, bytesOf, coresOf, quantity, timeOf } from './format.ts'
import { Graph } from './graph.ts'
import { type Kind, type KubeObject, NODES, pathOf, WORKLOADS } from './kinds.ts'
import { EventTable, rowLink } from './lists.ts'
import { Badge, Empty, Facts, Heading, Loading, PlainTable, Section, Trouble, toneOf } from './parts.ts'
import { linkTo } from './router.ts'
import { Table } from './table.ts'
import { type Usage, usageOf, useNodeUsage, usePodUsage } from './usage.ts'

interface Names {
  readonly namespace: string
  readonly name: string
}

interface ObjectPageProps extends Names {
  readonly word: string
}

const PODS = WORKLOADS.find(({ word }) => word === 'pods') as Kind

export function ObjectPage({ word, namespace, name }: ObjectPageProps) {
  const kind = word === 'nodes' ? NODES : WORKLOADS.find(each => each.word === word)
  const path = kind === undefined ? null : pathOf(kind, namespace)
  const found = useCollection(
    path === null ? null : { path, fieldSelector: `metadata.name=${name}`, whole: true },
  )
  const object = found.rows[0]?.object
  const back = word === 'nodes' ? linkTo('nodes') : linkTo('workloads', word)
  return html`<p class="crumbs"><a href=${back}>${kind?.title ?? word}</a>${namespace !== '' && html` / ${namespace}`}</p>
    <${Heading}>${name}<//>
    <${Trouble} problem=${found.problem} />
    ${
      object !== undefined && kind !== undefined
        ? bodyOf(kind, object)
        : found.isLoaded
          ? html`<${Empty}>There is no ${kind?.one ?? 'object'} ${name} any more. <a href=${back}>Back to the list</a><//>`
          : found.problem === null && html`<${Loading} />`
    }`
}

function bodyOf(kind: Kind, object: KubeObject): ComponentChildren {
  if (kind.word === 'nodes') return html`<${NodeBody} object=${object} />`
  if (kind.word === 'pods') return html`<${PodBody} object=${object} />`
  return html`<${WorkloadBody} kind=${kind} object=${object} />`
}

function Graphs({ usage, cpu, memory }: { usage: Usage; cpu: number; memory: number }) {
  return html`<div class="tiles two">
    <${Graph} title="CPU" samples=${usage.cpu} limit=${cpu} show=${coresOf} />
    <${Graph} title="Memory" samples=${usage.memory} limit=${memory} show=${bytesOf} />
  </div>`
}

interface Condition {
  readonly type: string
  readonly status: string
  readonly reason?: string
  readonly message?: string
  readonly lastTransitionTime?: string
}

function Conditions({ object }: { object: KubeObject }) {
  const conditions = (object.status?.conditions ?? []) as readonly Condition[]
  if (conditions.length === 0) return null
  return html`<${Section} title="Conditions"><${PlainTable} label="Conditions" head=${['Condition', 'Status', 'Since', 'Reason', 'Message']}
    rows=${conditions.map(each => [each.type, each.status, ageOf(each.lastTransitionTime), each.reason ?? '', each.message ?? ''])} /><//>`
}

function EventsOf({ object }: { object: KubeObject }) {
  const { namespace = 'default', uid, name } = object.metadata
  const isNode = object.kind === 'Node'
  const fieldSelector = isNode
    ? `involvedObject.kind=Node,involvedObject.name=${name}`
    : `involvedObject.uid=${uid}`
  return html`<${Section} title="Events"><${EventTable} namespace=${namespace} fieldSelector=${fieldSelector} /><//>`
}

function Labels({ object }: { object: KubeObject }) {
  const labels = Object.entries(object.metadata.labels ?? {})
  return labels.map(
    ([key, value]) => html`<code class="label" key=${key}>${key}${value !== '' && `=${value}`}</code> `,
  )
}

interface PodsProps {
  readonly title?: string
  readonly namespace: string
  readonly labelSelector?: string
  readonly fieldSelector?: string
}

function Pods({ title = 'Pods', namespace, labelSelector, fieldSelector }: PodsProps) {
  const pods = useCollection({ path: pathOf(PODS, namespace), labelSelector, fieldSelector })
  return html`<${Section} title=${title}><${Table} label=${title} what="pod" of=${pods} isNamespaced=${namespace === ''}
    linkOf=${rowLink('pods')} empty="It has no pods." /><//>`
}

function NodeBody({ object }: { object: KubeObject }) {
  useNodeUsage()
  const { status = {}, spec = {} } = object
  const info = status.nodeInfo ?? {}
  const addresses = (status.addresses ?? []).map((each: { address: string }) => each.address)
  const taints = (spec.taints ?? []).map(
    (each: { key: string; effect: string }) => `${each.key}:${each.effect}`,
  )
  return html`<${Facts} of=${[
    ['Schedulable', spec.unschedulable ? html`<${Badge} tone="warn">no, cordoned<//>` : 'yes'],
    ['Addresses', addresses.join(', ')],
    ['Kubelet', info.kubeletVersion],
    ['System', `${info.osImage ?? ''}, ${info.kernelVersion ?? ''}`],
    ['Runtime', info.containerRuntimeVersion],
    ['Pods that fit', status.allocatable?.pods],
    ['Taints', taints.join(', ')],
    ['Age', ageOf(object.metadata.creationTimestamp)],
  ]} />
  <${Graphs} usage=${usageOf(`node/${object.metadata.name}`)} cpu=${quantity(status.allocatable?.cpu)} memory=${quantity(status.allocatable?.memory)} />
  <${Conditions} object=${object} />
  <${Pods} namespace="" fieldSelector=${`spec.nodeName=${object.metadata.name}`} />
  <${EventsOf} object=${object} />`
}

interface ContainerState {
  readonly name: string
  readonly image: string
  readonly ready: boolean
  readonly restartCount: number
  readonly state?: Readonly<
    Record<string, { readonly reason?: string; readonly exitCode?: number; readonly startedAt?: string }>
  >
}

function stateOf({ state = {} }: ContainerState): string {
  const [[word, detail] = ['waiting', {}]] = Object.entries(state)
  if (word === 'running') return `Running for ${ageOf(detail?.startedAt)}`
  return detail?.reason ?? (word === 'terminated' ? `Exited with ${detail?.exitCode}` : 'Waiting')
}

function PodBody({ object }: { object: KubeObject }) {
  const { namespace = '', name } = object.metadata
  const { status = {}, spec = {} } = object
  usePodUsage(namespace, name)
  const states: ContainerState[] = [
    ...(status.initContainerStatuses ?? []),
    ...(status.containerStatuses ?? []),
  ]
  const limit = (of: string) =>
    (spec.containers ?? []).reduce(
      (sum: number, each: { resources?: { limits?: Record<string, string> } }) =>
        sum + quantity(each.resources?.limits?.[of]),
      0,
    )
  return html`<${PodActions} kind=${PODS} object=${object} />
  <${Facts} of=${[
    ['Phase', html`<${Badge} tone=${toneOf(status.phase ?? '')}>${status.phase}<//>`],
    ['Why', status.message ?? status.reason],
    ['Node', spec.nodeName && html`<a href=${linkTo('nodes', spec.nodeName)}>${spec.nodeName}</a>`],
    ['Address', status.podIP],
    ['Service account', spec.serviceAccountName],
    ['Priority class', spec.priorityClassName],
    ['Started', timeOf(status.startTime)],
    ['Labels', html`<${Labels} object=${object} />`],
  ]} />
  <${Section} title="Containers"><${PlainTable} label="Containers" head=${['Container', 'State', 'Ready', 'Restarts', 'Image', 'Logs']}
    rows=${states.map(each => [
      each.name,
      stateOf(each),
      each.ready ? 'yes' : 'no',
      each.restartCount,
      each.image,
      html`<a href=${`${linkTo('logs', namespace, name)}?container=${encodeURIComponent(each.name)}`}>Logs<span class="unseen"> of ${each.name}</span></a>`,
    ])} />${states.length === 0 && html`<${Empty}>No container has been started.<//>`}<//>
  <${Graphs} usage=${usageOf(`pod/${namespace}/${name}`)} cpu=${limit('cpu')} memory=${limit('memory')} />
  <${Conditions} object=${object} />
  <${EventsOf} object=${object} />`
}

interface Selector {
  readonly matchLabels?: Readonly<Record<string, string>>
  readonly matchExpressions?: readonly {
    readonly key: string
    readonly operator: string
    readonly values?: readonly string[]
  }[]
}

function selectorText({ matchLabels = {}, matchExpressions = [] }: Selector): string {
  const expressions = matchExpressions.map(({ key, operator, values = [] }) => {
    if (operator === 'Exists') return key
    if (operator === 'DoesNotExist') return `!${key}`
    return `${key} ${operator === 'In' ? 'in' : 'notin'} (${values.join(',')})`
  })
  return [...Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`), ...expressions].join(',')
}

function WorkloadBody({ kind, object }: { kind: Kind; object: KubeObject }) {
  const { namespace = '', uid } = object.metadata
  const { spec = {}, status = {} } = object
  const isService = kind.word === 'services'
  const selector = isService
    ? selectorText({ matchLabels: spec.selector ?? {} })
    : selectorText(spec.selector ?? {})
  const images = (spec.template?.spec?.containers ?? []).map((each: { image: string }) => each.image)
  const hasPods = selector !== '' && kind.word !== 'persistentvolumeclaims'
  const ports = (spec.ports ?? []).map(
    (each: { port: number; nodePort?: number; protocol: string }) =>
      `${each.port}${each.nodePort ? `:${each.nodePort}` : ''}/${each.protocol}`,
  )
  return html`<${WorkloadActions} kind=${kind} object=${object} />
  <${Facts} of=${[
    [
      'Replicas',
      spec.replicas !== undefined &&
        `${status.readyReplicas ?? 0} ready, ${status.updatedReplicas ?? 0} up to date, ${spec.replicas} wanted`,
    ],
    [
      'Schedule',
      spec.schedule &&
        `${spec.schedule}${spec.timeZone ? ` (${spec.timeZone})` : ''}${spec.suspend ? ', suspended' : ''}`,
    ],
    ['Last scheduled', status.lastScheduleTime && timeOf(status.lastScheduleTime)],
    ['Type', isService && spec.type],
    ['Address', isService && spec.clusterIP],
    ['Ports', ports.join(', ')],
    ['Capacity', status.capacity?.storage],
    ['Class', spec.storageClassName],
    ['Images', images.join(', ')],
    ['Selector', selector !== '' && html`<code>${selector}</code>`],
    ['Labels', html`<${Labels} object=${object} />`],
    ['Age', ageOf(object.metadata.creationTimestamp)],
  ].filter(([, value]) => value !== false)} />
  <${Conditions} object=${object} />
  ${kind.word === 'cronjobs' && html`<${OwnedJobs} namespace=${namespace} uid=${uid} />`}
  ${hasPods && html`<${Pods} namespace=${namespace} labelSelector=${selector} />`}
  <${EventsOf} object=${object} />`
}

function OwnedJobs({ namespace, uid }: { namespace: string; uid: string }) {
  const kind = WORKLOADS.find(({ word }) => word === 'jobs') as Kind
  const jobs = useCollection({ path: pathOf(kind, namespace) })
  const isOwned = ({ object }: Row) =>
    object.metadata.ownerReferences?.some(owner => owner.uid === uid) ?? false
  const own = { ...jobs, rows: jobs.rows.filter(isOwned) }
  return html`<${Section} title="Jobs"><${Table} label="Jobs" what="job" of=${own} linkOf=${rowLink('jobs')} empty="It has made no jobs that are still there." /><//>`
}
