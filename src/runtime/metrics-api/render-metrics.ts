/** NodeMetrics and PodMetrics (pure). */
import type { KubeObject } from '../../kube/object.ts'
import { formatTime } from '../../kube/time.ts'
import type { Summary, Usage } from './summary.ts'

export type ResourceMetrics = Readonly<Record<string, unknown>> & {
  readonly metadata: {
    readonly name?: string | undefined
    readonly namespace?: string | undefined
    readonly labels?: Readonly<Record<string, string>> | undefined
  }
}

const API_VERSION = 'metrics.k8s.io/v1beta1'
/** What rates are taken over at the most often. */
const WINDOW = '15s'
const KIB = 1_024

export function nodeMetrics(node: KubeObject, summaries: ReadonlyMap<string, Summary>): ResourceMetrics[] {
  const usage = summaries.get(node.metadata.name ?? '')?.node ?? null
  if (usage === null) return []
  const head = { kind: 'NodeMetrics', apiVersion: API_VERSION, metadata: metadataOf(node, usage) }
  return [{ ...head, timestamp: formatTime(usage.timeMs), window: WINDOW, usage: quantities(usage) }]
}

/** A pod is told of once all its running containers are known. */
export function podMetrics(pod: KubeObject, summaries: ReadonlyMap<string, Summary>): ResourceMetrics[] {
  const { spec, status } = pod as { spec?: { nodeName?: string }; status?: { phase?: string } }
  const known = summaries.get(spec?.nodeName ?? '')?.pods.get(pod.metadata.uid ?? '')
  if (known === undefined || known.size === 0 || status?.phase !== 'Running') return []
  const usages = [...known.values()]
  const oldest = usages.reduce((a, b) => (a.timeMs < b.timeMs ? a : b))
  return [
    {
      kind: 'PodMetrics',
      apiVersion: API_VERSION,
      metadata: metadataOf(pod, oldest),
      timestamp: formatTime(oldest.timeMs),
      window: WINDOW,
      containers: [...known].map(([name, usage]) => ({ name, usage: quantities(usage) })),
    },
  ]
}

function metadataOf({ metadata }: KubeObject, { timeMs }: Usage): ResourceMetrics['metadata'] {
  const { name, namespace, labels } = metadata
  const creationTimestamp = formatTime(timeMs)
  return {
    ...(name === undefined ? {} : { name }),
    ...(namespace === undefined ? {} : { namespace }),
    ...{ creationTimestamp },
    ...(labels === undefined ? {} : { labels }),
  }
}

const quantities = ({ nanoCores, workingSetBytes }: Usage) => ({
  cpu: nanoCores === 0 ? '0' : `${nanoCores}n`,
  memory: `${Math.ceil(workingSetBytes / KIB)}Ki`,
})
