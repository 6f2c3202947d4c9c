/** Which metrics a list is to have: label and field selectors of its query (pure). */
import { matchesFields, parseFieldSelector } from '../../kube/field-selector.ts'
import { matchesLabels, parseLabelSelector } from '../../kube/labels.ts'
import type { ResourceMetrics } from './render-metrics.ts'

/** Throws a 400 StatusError. */
export function parseSelectors(query: URLSearchParams): (metrics: ResourceMetrics) => boolean {
  const labels = parseLabelSelector(query.get('labelSelector') ?? '')
  const fields = parseFieldSelector(query.get('fieldSelector') ?? '')
  return ({ metadata }) => {
    const { name = '', namespace = '' } = metadata
    const own = { 'metadata.name': name, 'metadata.namespace': namespace }
    return matchesLabels(labels, metadata.labels) && matchesFields(fields, own)
  }
}
