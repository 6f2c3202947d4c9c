/** What each metric of an autoscaler asks for, or why it asks for nothing, in upstream's words. Pure. */
import { formatQuantity, milliValue, parseQuantity } from '../../../kube/quantity.ts'
import type { LabelSelector, MetricSpec, MetricStatus, MetricTarget } from '../../../kube/types.ts'
import {
  averageReplicas,
  type Proposal,
  perPodReplicas,
  type Scaled,
  utilizationReplicas,
  valueReplicas,
} from './replicas.ts'
import { MetricProblem, type Samples } from './samples.ts'

/** What the metrics APIs answered for one metric. */
export type Measured =
  | { readonly kind: 'samples'; readonly samples: Samples }
  | { readonly kind: 'value'; readonly value: number }
  | { readonly kind: 'problem'; readonly message: string }

export interface MetricProposal {
  readonly replicas: number
  /** As events and conditions call the metric. */
  readonly name: string
  readonly status: MetricStatus
}

export interface MetricFailure {
  /** `FailedGetResourceMetric`. */
  readonly reason: string
  readonly message: string
  /** With what was attempted in front. */
  readonly whole: string
}

interface Source {
  readonly reason: string
  readonly attempt: string
  readonly target: MetricTarget
  readonly propose: (measured: Measured, scaled: Scaled) => [Proposal, name: string]
  readonly render: (current: object) => MetricStatus
}

interface Place {
  readonly namespace: string
  /** Those that the target has, where `current` are those that it wants. */
  readonly statusReplicas: number
}

export function propose(
  spec: MetricSpec,
  measured: Measured,
  scaled: Scaled & Place,
): MetricProposal | MetricFailure {
  const source = sourceOf(spec, scaled)
  try {
    const [proposal, name] = source.propose(measured, scaled)
    return { replicas: proposal.replicas, name, status: source.render(currentOf(source.target, proposal)) }
  } catch (error) {
    if (!(error instanceof MetricProblem)) throw error
    const { message, attempted } = error
    const whole = [source.attempt, attempted, message].filter(each => each !== '').join(': ')
    return { reason: source.reason, message, whole }
  }
}

function currentOf(target: MetricTarget, { usage, utilization }: Proposal): object {
  const amount = formatQuantity({ nano: BigInt(Math.round(usage)) * 1_000_000n, format: 'DecimalSI' })
  if (utilization !== undefined) return { averageUtilization: utilization, averageValue: amount }
  return target.value === undefined ? { averageValue: amount } : { value: amount }
}

function sourceOf(spec: MetricSpec, place: Place): Source {
  const { resource, containerResource, pods, object, external } = spec
  if (resource) return resourceSource(resource.name, resource.target)
  if (containerResource) return containerSource(containerResource)
  if (pods) return podsSource(pods)
  if (object) return objectSource(object, place)
  if (external) return externalSource(external, place)
  const reason = 'InvalidMetricSourceType'
  const fail = () => {
    throw new MetricProblem(`unknown metric source type ${JSON.stringify(spec.type)}`)
  }
  const render = () => ({ type: spec.type })
  return { reason, attempt: 'invalid metric', target: { type: '' }, propose: fail, render }
}

const amountOf = (text: string): number => milliValue(parseQuantity(text))

function samplesOf(measured: Measured, head: string): Samples {
  if (measured.kind === 'samples') return measured.samples
  throw new MetricProblem(measured.kind === 'problem' ? `${head}: ${measured.message}` : head)
}

function measuredValue(measured: Measured, whole: (why: string) => string): number {
  if (measured.kind === 'value') return measured.value
  throw new MetricProblem(whole(measured.kind === 'problem' ? measured.message : 'no value'))
}

/** Of all containers, or of one. */
function proposeResource(name: string, target: MetricTarget, container: string): Source['propose'] {
  const { averageValue, averageUtilization } = target
  return (measured, scaled) => {
    if (averageValue === undefined && averageUtilization === undefined) {
      throw new MetricProblem(
        'invalid resource metric source: neither an average utilization target nor an average value (usage) ' +
          'target was set',
      )
    }
    const attempt =
      averageValue === undefined ? `failed to get ${name} utilization` : `failed to get ${name} usage`
    return prefixed(attempt, () => {
      const samples = samplesOf(measured, `unable to get metrics for resource ${name}`)
      if (averageValue !== undefined) {
        const of = { resource: name, target: amountOf(averageValue) }
        return [averageReplicas(scaled, samples, of), `${name} resource`]
      }
      const of = { resource: name, container, targetPercent: averageUtilization ?? 0 }
      const proposal = utilizationReplicas(scaled, samples, of)
      const kind = container === '' ? 'resource' : 'container resource'
      return [proposal, `${name} ${kind} utilization (percentage of request)`]
    })
  }
}

/** Of the rest, only where all problems are told together. */
function attempting<T>(attempted: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof MetricProblem) throw new MetricProblem(error.message, attempted)
    throw error
  }
}

function prefixed<T>(attempt: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof MetricProblem) throw new MetricProblem(`${attempt}: ${error.message}`)
    throw error
  }
}

function resourceSource(name: string, target: MetricTarget): Source {
  return {
    reason: 'FailedGetResourceMetric',
    attempt: `failed to get ${name} resource metric value`,
    target,
    propose: proposeResource(name, target, ''),
    render: current => ({ type: 'Resource', resource: { name, current } }),
  }
}

function containerSource(of: NonNullable<MetricSpec['containerResource']>): Source {
  const { name, container, target } = of
  return {
    reason: 'FailedGetContainerResourceMetric',
    attempt: `failed to get ${container} container metric value`,
    target,
    propose: proposeResource(name, target, container),
    render: current => ({ type: 'ContainerResource', containerResource: { name, container, current } }),
  }
}

function podsSource({ metric, target }: NonNullable<MetricSpec['pods']>): Source {
  return {
    reason: 'FailedGetPodsMetric',
    attempt: 'failed to get pods metric value',
    target,
    propose(measured, scaled) {
      const samples = samplesOf(measured, `unable to get metric ${metric.name}`)
      const of = { resource: '', target: amountOf(target.averageValue ?? '0') }
      return [averageReplicas(scaled, samples, of), `pods metric ${metric.name}`]
    },
    render: current => ({ type: 'Pods', pods: { metric, current } }),
  }
}

function objectSource(of: NonNullable<MetricSpec['object']>, { namespace, statusReplicas }: Place): Source {
  const { metric, target, describedObject } = of
  const { kind, name } = describedObject
  // Upstream's order of these words.
  const failed = (why: string) =>
    `unable to get metric ${metric.name}: ${kind} on ${namespace} ${name}/${why}`
  return {
    reason: 'FailedGetObjectMetric',
    attempt: 'failed to get object metric value',
    target,
    propose(measured, scaled) {
      if (target.value === undefined && target.averageValue === undefined) {
        throw new MetricProblem(
          'invalid object metric source: neither a value target nor an average value target was set',
        )
      }
      if (target.value !== undefined) {
        const value = measuredValue(measured, failed)
        return [valueReplicas(scaled, value, amountOf(target.value)), `${kind} metric ${metric.name}`]
      }
      const share = amountOf(target.averageValue ?? '0')
      return attempting(`failed to get ${metric.name} object metric`, () => {
        const proposal = perPodReplicas(
          { ...scaled, current: statusReplicas },
          measuredValue(measured, failed),
          share,
        )
        return [proposal, `external metric ${metric.name}(${selectorText(metric.selector)})`]
      })
    },
    render: current => ({ type: 'Object', object: { metric, describedObject, current } }),
  }
}

function externalSource(
  { metric, target }: NonNullable<MetricSpec['external']>,
  { namespace, statusReplicas }: Place,
): Source {
  const selector = selectorText(metric.selector)
  const name = `external metric ${metric.name}(${selector})`
  const failed = (why: string) =>
    `unable to get external metric ${namespace}/${metric.name}/${selector}: ${why}`
  return {
    reason: 'FailedGetExternalMetric',
    attempt: `failed to get ${metric.name} external metric value`,
    target,
    propose(measured, scaled) {
      const { value: whole, averageValue } = target
      if (averageValue !== undefined) {
        return attempting(`failed to get ${metric.name} external metric`, () => {
          const value = measuredValue(measured, failed)
          const of = { ...scaled, current: statusReplicas }
          return [perPodReplicas(of, value, amountOf(averageValue)), name]
        })
      }
      if (whole !== undefined) {
        return attempting(`failed to get external metric ${metric.name}`, () => [
          valueReplicas(scaled, measuredValue(measured, failed), amountOf(whole)),
          name,
        ])
      }
      throw new MetricProblem(
        'invalid external metric source: neither a value target nor an average value target was set',
      )
    },
    render: current => ({ type: 'External', external: { metric, current } }),
  }
}

/** As Go prints a selector. */
function selectorText(selector: LabelSelector | undefined): string {
  if (selector === undefined) return 'nil'
  const labels = Object.entries(selector.matchLabels ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}: ${value},`)
  const expressions = (selector.matchExpressions ?? []).map(
    ({ key, operator, values }) => `{${key} ${operator} [${(values ?? []).join(' ')}]},`,
  )
  const matchLabels = `map[string]string{${labels.join('')}}`
  return `&LabelSelector{MatchLabels:${matchLabels},MatchExpressions:[]LabelSelectorRequirement{${expressions.join('')}},}`
}
