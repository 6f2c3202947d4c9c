/** Gives every node its range of pod addresses. */
import { keyOf } from '../../../client/informer.ts'
import { NODES } from '../../../client/resources.ts'
import type { Node } from '../../../kube/types.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import { planPodCidrs } from './plan.ts'

const SERVICE_ACCOUNT = 'node-controller'

const rangesOf = ({ spec }: Node): readonly string[] => spec?.podCIDRs ?? [spec?.podCIDR ?? '']

export function createNodeIpamController(context: ControllerContext): Controller {
  const client = context.client(SERVICE_ACCOUNT)
  const events = context.events({ component: 'cidrAllocator', serviceAccount: SERVICE_ACCOUNT })
  const nodes = context.informers.informer<Node>(NODES)
  return keyedController({
    name: 'node-ipam-controller',
    context,
    // One at a time: what is free is decided by what the cache shows.
    workers: 1,
    sources: [keysFrom(nodes, node => (node.spec?.podCIDR ? [] : [keyOf(node)]))],
    async reconcile(name, signal) {
      const node = nodes.get(name)
      if (node === undefined || node.spec?.podCIDR) return undefined
      const taken = new Set(nodes.list().flatMap(rangesOf))
      const podCIDRs = planPodCidrs(context.settings.podCidrs, taken)
      if (podCIDRs === null) {
        events.record(node, 'Normal', 'CIDRNotAvailable', `Node ${name} status is now: CIDRNotAvailable`)
        throw new Error('every node range of the pod network is taken')
      }
      const patch = { spec: { podCIDR: podCIDRs[0], podCIDRs } }
      const patched = await client.patch<Node>(NODES, { name, type: 'strategic', patch })
      await nodes.caughtUp(patched.metadata.resourceVersion, signal)
      return undefined
    },
  })
}
