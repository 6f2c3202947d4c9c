/**
 * autoscaling/v1 to and from autoscaling/v2 HorizontalPodAutoscaler. What v1 has no field for (other metrics,
 * behavior, conditions) travels in v1's annotations, under upstream's names, so that nothing is lost.
 */
import type { KubeObject } from '../../../kube/object.ts'

const METRICS = 'autoscaling.alpha.kubernetes.io/metrics'
const BEHAVIOR = 'autoscaling.alpha.kubernetes.io/behavior'
const CONDITIONS = 'autoscaling.alpha.kubernetes.io/conditions'
const CURRENT_METRICS = 'autoscaling.alpha.kubernetes.io/current-metrics'

type Fields = Record<string, unknown>

const fieldsOf = (value: unknown): Fields => (value ?? {}) as Fields
const arrayOf = (value: unknown): Fields[] => (Array.isArray(value) ? (value as Fields[]) : [])

const withoutUndefined = (fields: Fields): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))

function takeJson(annotations: Record<string, string>, name: string): unknown {
  const text = annotations[name]
  delete annotations[name]
  if (text === undefined) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const cpuMetric = (percent: unknown): Fields => ({
  type: 'Resource',
  resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: percent } },
})

const isCpuMetric = (metric: Fields): boolean => {
  const resource = fieldsOf(metric['resource'])
  const target = fieldsOf(resource['target'])
  return metric['type'] === 'Resource' && resource['name'] === 'cpu' && target['type'] === 'Utilization'
}

const isCpuStatus = (metric: Fields): boolean =>
  metric['type'] === 'Resource' && fieldsOf(metric['resource'])['name'] === 'cpu'

/** From autoscaling/v1 to autoscaling/v2. */
export function autoscalerToStorage(object: KubeObject): KubeObject {
  const annotations = { ...object.metadata.annotations }
  const metrics = arrayOf(takeJson(annotations, METRICS))
  const currentMetrics = arrayOf(takeJson(annotations, CURRENT_METRICS))
  const behavior = takeJson(annotations, BEHAVIOR)
  const conditions = takeJson(annotations, CONDITIONS)
  const { targetCPUUtilizationPercentage: percent, ...spec } = fieldsOf(object['spec'])
  if (percent !== undefined) metrics.unshift(cpuMetric(percent))
  const { currentCPUUtilizationPercentage: current, ...status } = fieldsOf(object['status'])
  if (current !== undefined) {
    currentMetrics.unshift({
      type: 'Resource',
      resource: { name: 'cpu', current: { averageUtilization: current } },
    })
  }
  return {
    ...object,
    metadata: withAnnotations(object, annotations),
    spec: withoutUndefined({ ...spec, metrics: metrics.length > 0 ? metrics : undefined, behavior }),
    status: withoutUndefined({
      ...status,
      currentMetrics: currentMetrics.length > 0 ? currentMetrics : undefined,
      conditions,
    }),
  }
}

function withAnnotations(object: KubeObject, annotations: Record<string, string>): KubeObject['metadata'] {
  const { annotations: _old, ...metadata } = object.metadata
  return Object.keys(annotations).length > 0 ? { ...metadata, annotations } : metadata
}

/** From autoscaling/v2 to autoscaling/v1. */
export function autoscalerFromStorage(object: KubeObject): KubeObject {
  const annotations = { ...object.metadata.annotations }
  const { metrics, behavior, ...spec } = fieldsOf(object['spec'])
  const { currentMetrics, conditions, ...status } = fieldsOf(object['status'])
  const cpu = arrayOf(metrics).find(isCpuMetric)
  const others = arrayOf(metrics).filter(metric => metric !== cpu)
  const cpuStatus = arrayOf(currentMetrics).find(isCpuStatus)
  const otherStatuses = arrayOf(currentMetrics).filter(metric => metric !== cpuStatus)
  if (others.length > 0) annotations[METRICS] = JSON.stringify(others)
  if (otherStatuses.length > 0) annotations[CURRENT_METRICS] = JSON.stringify(otherStatuses)
  if (behavior !== undefined) annotations[BEHAVIOR] = JSON.stringify(behavior)
  if (conditions !== undefined) annotations[CONDITIONS] = JSON.stringify(conditions)
  const target = fieldsOf(fieldsOf(cpu?.['resource'])['target'])
  const current = fieldsOf(fieldsOf(cpuStatus?.['resource'])['current'])
  return {
    ...object,
    metadata: withAnnotations(object, annotations),
    spec: withoutUndefined({ ...spec, targetCPUUtilizationPercentage: target['averageUtilization'] }),
    status: withoutUndefined({
      currentReplicas: 0,
      desiredReplicas: 0,
      ...status,
      currentCPUUtilizationPercentage: current['averageUtilization'],
    }),
  }
}
