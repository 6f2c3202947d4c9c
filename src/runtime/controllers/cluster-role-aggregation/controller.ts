/** Keeps aggregated cluster roles (admin, edit, view) equal to the sum of their parts. */
import { keyOf } from '../../../client/informer.ts'
import { CLUSTER_ROLES } from '../../../client/resources.ts'
import type { ClusterRole } from '../../../kube/types.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import { planRules } from './plan.ts'

const SERVICE_ACCOUNT = 'clusterrole-aggregation-controller'

export function createClusterRoleAggregationController(context: ControllerContext): Controller {
  const client = context.client(SERVICE_ACCOUNT)
  const roles = context.informers.informer<ClusterRole>(CLUSTER_ROLES)
  const aggregated = () => roles.list().filter(role => role.aggregationRule !== undefined)
  return keyedController({
    name: SERVICE_ACCOUNT,
    context,
    workers: 1,
    sources: [keysFrom(roles, () => aggregated().map(keyOf))],
    async reconcile(name, signal) {
      const role = roles.get(name)
      const rules = role === undefined ? null : planRules(role, roles.list())
      if (role === undefined || rules === null) return undefined
      const updated = await client.update<ClusterRole>(CLUSTER_ROLES, { ...role, rules })
      await roles.caughtUp(updated.metadata.resourceVersion, signal)
      return undefined
    },
  })
}
