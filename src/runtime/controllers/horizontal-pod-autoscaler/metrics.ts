/** Asks the metrics APIs, which extension API servers serve, what an autoscaler's metrics are. */
import { messageOf } from '../../../base/errors.ts'
import type { Informer } from '../../../client/informer.ts'
import type { KubeClient, ResourceRef } from '../../../client/kube-client.ts'
import { isUnexpectedResponse } from '../../../client/status-errors.ts'
import { formatLabelSelector, requirementsOf } from '../../../kube/labels.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { milliValue, parseQuantity } from '../../../kube/quantity.ts'
import { StatusError } from '../../../kube/status.ts'
import { parseGoDuration } from '../../../kube/time.ts'
import type { LabelSelector, MetricSpec } from '../../../kube/types.ts'
import { timeMs } from '../shared/pods.ts'
import type { Scales } from '../shared/scales.ts'
import type { Measured } from './proposals.ts'
import type { Sample } from './samples.ts'

const CUSTOM_GROUP = 'custom.metrics.k8s.io'
/** The newer first; an adapter may serve the older one alone. */
const CUSTOM_VERSIONS = ['v1beta2', 'v1beta1']
const EXTERNAL_GROUP = 'external.metrics.k8s.io'
const POD_METRICS: ResourceRef = {
  group: 'metrics.k8s.io',
  version: 'v1beta1',
  resource: 'pods',
  namespaced: true,
}
const WINDOW_MS = 60_000

interface PodMetrics extends KubeObject {
  timestamp?: string
  window?: string
  containers?: { name: string; usage: Record<string, string> }[]
}

interface MetricValue extends KubeObject {
  describedObject?: { name?: string }
  timestamp?: string
  windowSeconds?: number
  value?: string
}

/** Whose metric is asked for. */
export interface Target {
  readonly namespace: string
  /** Selects the pods, as text. */
  readonly selector: string
}

export interface MetricsParts {
  readonly client: KubeClient
  /** Whose names are the versions of groups that are served. */
  readonly apiServices: Informer<KubeObject>
  readonly scales: Scales
}

/** Never throws for what an API answers: that is what the condition is to say. */
export async function measure(parts: MetricsParts, spec: MetricSpec, target: Target): Promise<Measured> {
  const { resource, containerResource, pods, object, external } = spec
  try {
    if (resource) return await podUsage(parts, resource.name, target)
    if (containerResource)
      return await podUsage(parts, containerResource.name, target, containerResource.container)
    if (pods) return await podsMetric(parts, pods.metric, target)
    if (object) return await objectMetric(parts, object, target)
    if (external) return await externalMetric(parts, external.metric, target)
    return { kind: 'problem', message: `unknown metric source type ${JSON.stringify(spec.type)}` }
  } catch (error) {
    if (error instanceof Refusal) return { kind: 'problem', message: error.message }
    throw error
  }
}

class Refusal extends Error {}

async function ask<T extends KubeObject>(
  api: 'resource' | 'custom' | 'external',
  what: string,
  list: () => Promise<{ readonly items: T[] }>,
): Promise<T[]> {
  let items: T[]
  try {
    items = (await list()).items
  } catch (error) {
    if (!(error instanceof StatusError || error instanceof Refusal)) throw error
    throw new Refusal(`unable to fetch metrics from ${api} metrics API: ${reasonOf(error, what)}`)
  }
  if (items.length === 0) throw new Refusal(`no metrics returned from ${api} metrics API`)
  return items
}

/** What Kubernetes' own clients add to where the answer told nothing more. */
const PLAIN_ANSWERS: Readonly<Record<number, string>> = {
  404: 'the server could not find the requested resource',
  503: 'the server is currently unable to handle the request',
}

function reasonOf(error: Error, what: string): string {
  const plain = error instanceof StatusError ? PLAIN_ANSWERS[error.code] : undefined
  const isPlain = plain !== undefined && (isUnexpectedResponse(error) || error.message === plain)
  return isPlain ? `${plain} (get ${what})` : messageOf(error)
}

async function podUsage(
  { client }: MetricsParts,
  resource: string,
  { namespace, selector }: Target,
  container?: string,
): Promise<Measured> {
  const list = () => client.list<PodMetrics>(POD_METRICS, { namespace, labelSelector: selector })
  const samples = new Map<string, Sample>()
  for (const one of await ask('resource', 'pods.metrics.k8s.io', list)) {
    const value =
      container === undefined ? wholeUsage(one, resource) : containerUsage(one, resource, container)
    if (value === undefined) continue
    const windowMs = parseGoDuration(one.window ?? '') ?? WINDOW_MS
    samples.set(one.metadata.name ?? '', { value, windowMs, atMs: timeMs(one.timestamp) })
  }
  return { kind: 'samples', samples }
}

/** Nothing when a container says nothing. */
function wholeUsage({ containers = [] }: PodMetrics, resource: string): number | undefined {
  let sum = 0
  for (const { usage } of containers) {
    const used = usage[resource]
    if (used === undefined) return undefined
    sum += milliValue(parseQuantity(used))
  }
  return containers.length === 0 ? undefined : sum
}

function containerUsage(
  { containers = [], metadata }: PodMetrics,
  resource: string,
  container: string,
): number | undefined {
  const found = containers.find(each => each.name === container)
  if (found === undefined) {
    const where = `${metadata.namespace}/${metadata.name}`
    throw new Refusal(`container ${container} not present in metrics for pod ${where}`)
  }
  const used = found.usage[resource]
  return used === undefined ? undefined : milliValue(parseQuantity(used))
}

interface MetricName {
  readonly name: string
  readonly selector?: LabelSelector
}

const textOf = (selector: LabelSelector | undefined): string | undefined =>
  selector === undefined ? undefined : formatLabelSelector(requirementsOf(selector) ?? [])

async function podsMetric(
  parts: MetricsParts,
  { name, selector: metricSelector }: MetricName,
  { namespace, selector }: Target,
): Promise<Measured> {
  const metricLabelSelector = textOf(metricSelector)
  const options = { namespace, labelSelector: selector, metricLabelSelector }
  const items = await askCustom(parts, `pods/*/${encodeURIComponent(name)}`, options)
  const samples = new Map<string, Sample>()
  for (const item of items) {
    const windowMs = item.windowSeconds === undefined ? WINDOW_MS : item.windowSeconds * 1_000
    const value = milliValue(parseQuantity(item.value ?? '0'))
    samples.set(item.describedObject?.name ?? '', { value, windowMs, atMs: timeMs(item.timestamp) })
  }
  return { kind: 'samples', samples }
}

async function askCustom(
  { client, apiServices }: MetricsParts,
  path: string,
  options: {
    readonly namespace: string
    readonly labelSelector?: string
    readonly metricLabelSelector?: string | undefined
  },
): Promise<MetricValue[]> {
  return ask('custom', `${path.split('/')[0]}.${CUSTOM_GROUP}`, async () => {
    const version = CUSTOM_VERSIONS.find(each => apiServices.get(`${each}.${CUSTOM_GROUP}`) !== undefined)
    if (version === undefined) throw new Refusal(`no custom metrics API (${CUSTOM_GROUP}) registered`)
    const at: ResourceRef = { group: CUSTOM_GROUP, version, resource: path, namespaced: true }
    return client.list<MetricValue>(at, options)
  })
}

async function objectMetric(
  parts: MetricsParts,
  { metric, describedObject }: NonNullable<MetricSpec['object']>,
  { namespace }: Target,
): Promise<Measured> {
  const { apiVersion = 'v1', kind, name } = describedObject
  const resource = parts.scales.resourceOf(apiVersion, kind)
  if (resource === undefined) {
    throw new Refusal(
      `no matches for kind ${JSON.stringify(kind)} in group ${JSON.stringify(groupOf(apiVersion))}`,
    )
  }
  const plural = resource.group === '' ? resource.resource : `${resource.resource}.${resource.group}`
  const isNamespace = resource.group === '' && kind === 'Namespace'
  const path = isNamespace ? 'metrics' : `${plural}/${encodeURIComponent(name)}`
  const metricLabelSelector = textOf(metric.selector)
  const where = isNamespace ? name : namespace
  const whole = `${path}/${encodeURIComponent(metric.name)}`
  const items = await askCustom(parts, whole, { namespace: where, metricLabelSelector })
  const [item, ...more] = items
  if (item === undefined || more.length > 0) {
    throw new Refusal(
      `the custom metrics API server returned ${items.length} results when we asked for exactly one`,
    )
  }
  return { kind: 'value', value: milliValue(parseQuantity(item.value ?? '0')) }
}

const groupOf = (apiVersion: string): string =>
  apiVersion.includes('/') ? (apiVersion.split('/')[0] ?? '') : ''

async function externalMetric(
  { client }: MetricsParts,
  { name, selector }: MetricName,
  { namespace }: Target,
): Promise<Measured> {
  const resource = encodeURIComponent(name)
  const at: ResourceRef = { group: EXTERNAL_GROUP, version: 'v1beta1', resource, namespaced: true }
  const list = () => client.list<MetricValue>(at, { namespace, labelSelector: textOf(selector) })
  const items = await ask('external', `${name}.${EXTERNAL_GROUP}`, list)
  const value = items.reduce((total, each) => total + milliValue(parseQuantity(each.value ?? '0')), 0)
  return { kind: 'value', value }
}
