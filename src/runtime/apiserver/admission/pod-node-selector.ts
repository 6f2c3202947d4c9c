/** Pods of a namespace run on the nodes that the namespace is for. */
import { checkLabelKey, checkLabelValue } from '../../../kube/names.ts'
import { notFound, plainFailure } from '../../../kube/status.ts'
import type { AdmissionPlugin, AdmissionRequest, ObjectReader } from '../ports.ts'
import { podToCreate, refuse } from './refuse.ts'

type Labels = Readonly<Record<string, string>>

/** Node selectors by namespace, which are all that its pods may ask for; and the one of namespaces without one. */
export type NodeSelectors = Labels

const ANNOTATION = 'scheduler.alpha.kubernetes.io/node-selector'
const CLUSTER_DEFAULT = 'clusterDefaultNodeSelector'
const CONFLICT = 'pod node label selector conflicts with its namespace node label selector'
const NOT_ALLOWED = 'pod node label selector labels conflict with its namespace whitelist'

export function podNodeSelector(objects: ObjectReader, configured: NodeSelectors): AdmissionPlugin {
  const wantedIn = (namespace: string): Labels => {
    const found = objects.get('', 'namespaces', '', namespace)
    if (found === null) throw notFound({ group: '', resource: 'namespaces' }, namespace)
    return parseLabels(found.metadata.annotations?.[ANNOTATION] ?? configured[CLUSTER_DEFAULT] ?? '')
  }
  const check = (request: AdmissionRequest, given: Labels): Labels => {
    const wanted = wantedIn(request.namespace)
    const differs = ([key, value]: [string, string]) => key in given && given[key] !== value
    if (Object.entries(wanted).some(differs)) throw refuse(request, CONFLICT)
    return wanted
  }
  return {
    name: 'PodNodeSelector',
    admit(request) {
      const spec = podToCreate(request)?.spec
      if (spec === undefined) return
      const merged = { ...check(request, spec.nodeSelector ?? {}), ...spec.nodeSelector }
      if (Object.keys(merged).length > 0) spec.nodeSelector = merged
    },
    validate(request) {
      const spec = podToCreate(request)?.spec
      if (spec === undefined) return
      const given = spec.nodeSelector ?? {}
      check(request, given)
      const allowed = parseLabels(configured[request.namespace] ?? '')
      if (Object.keys(allowed).length === 0) return
      if (Object.entries(given).every(([key, value]) => allowed[key] === value)) return
      throw refuse(request, NOT_ALLOWED)
    },
  }
}

/** `a=b,c=d`. Throws 500 for anything else, as upstream does. */
export function parseLabels(text: string): Labels {
  if (text === '') return {}
  return Object.fromEntries(
    text.split(',').map(pair => {
      const [key = '', value = '', rest] = pair.split('=').map(word => word.trim())
      if (!pair.includes('=') || rest !== undefined) throw plainFailure(`invalid selector: ${pair}`)
      const [problem] = [...checkLabelKey(key), ...checkLabelValue(value)]
      if (problem !== undefined) throw plainFailure(`invalid selector: ${pair}: ${problem}`)
      return [key, value]
    }),
  )
}
