/** Deletes pods from nodes whose NoExecute taints they do not tolerate, or no longer. */
import { keyOf } from '../../../client/informer.ts'
import { isNotFound } from '../../../client/kube-client.ts'
import { NODES, PODS } from '../../../client/resources.ts'
import type { Node, Pod } from '../../../kube/types.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { disruptionPatch } from '../shared/disruption.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import { planEviction } from './plan.ts'

const SERVICE_ACCOUNT = 'node-controller'
const COMPONENT = 'taint-eviction-controller'
const NODE_INDEX = 'node'

export function createTaintEvictionController(context: ControllerContext): Controller {
  const client = context.client(SERVICE_ACCOUNT)
  const events = context.events({ component: COMPONENT, serviceAccount: SERVICE_ACCOUNT })
  const nodes = context.informers.informer<Node>(NODES)
  const pods = context.informers.informer<Pod>(PODS)
  pods.addIndex(NODE_INDEX, pod => (pod.spec?.nodeName ? [pod.spec.nodeName] : []))
  const taintsOf = (name: string | undefined) => nodes.get(name ?? '')?.spec?.taints ?? []
  const hasEvictingTaint = (node: Node) =>
    (node.spec?.taints ?? []).some(taint => taint.effect === 'NoExecute')
  /** When a pod was first seen beside a taint that evicts, by its key. */
  const seen = new Map<string, number>()
  return keyedController({
    name: COMPONENT,
    context,
    sources: [
      keysFrom(nodes, node => {
        const keys = pods.byIndex(NODE_INDEX, node.metadata.name ?? '').map(keyOf)
        return hasEvictingTaint(node) ? keys : keys.filter(key => seen.has(key))
      }),
      keysFrom(pods, pod => (taintsOf(pod.spec?.nodeName).length > 0 ? [keyOf(pod)] : [])),
    ],
    async reconcile(key) {
      const pod = pods.get(key)
      const nowMs = context.clock.now()
      const seenMs = seen.get(key) ?? nowMs
      const plan = pod && planEviction(pod, taintsOf(pod.spec?.nodeName), nowMs, seenMs)
      if (pod === undefined || plan === undefined || plan.kind === 'stay') {
        seen.delete(key)
        return undefined
      }
      seen.set(key, seenMs)
      if (plan.kind === 'wait') return plan.delayMs
      const { namespace, name, uid } = pod.metadata
      events.record(pod, 'Normal', 'TaintManagerEviction', `Marking for deletion Pod ${key}`)
      const why = {
        reason: 'DeletionByTaintManager',
        message: 'Taint manager: deleting due to NoExecute taint',
      }
      const target = { namespace, name: name ?? '' }
      try {
        const patch = disruptionPatch(pod, why, nowMs)
        await client.patch(PODS, { ...target, subresource: 'status', type: 'strategic', patch })
        await client.delete(PODS, { ...target, uid })
      } catch (error) {
        if (!isNotFound(error)) throw error
      }
      return undefined
    },
  })
}
