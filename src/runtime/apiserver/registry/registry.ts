/** The door of this folder: every kind that needs more than the model. */
import { deployments } from './apps/deployments.ts'
import { replicaSets, replicationControllers } from './apps/replica-sets.ts'
import { daemonSets, statefulSets } from './apps/sets.ts'
import { controllerRevisions, podTemplates } from './apps/templates.ts'
import { cronJobs, jobs } from './batch/jobs.ts'
import { componentStatuses } from './core/component-statuses.ts'
import { configMaps, secrets, serviceAccounts } from './core/config-data.ts'
import { endpointSlices, endpoints } from './core/endpoints.ts'
import { coreEvents, newEvents } from './core/events.ts'
import { leases } from './core/leases.ts'
import { namespaces } from './core/namespaces.ts'
import { nodes } from './core/nodes.ts'
import { pods } from './core/pods.ts'
import { services } from './core/services.ts'
import {
  mutatingBindings,
  mutatingPolicies,
  validatingBindings,
  validatingPolicies,
} from './extension/admission-policies.ts'
import { apiServices } from './extension/api-services.ts'
import { certificateRequests } from './extension/certificates.ts'
import { definitions } from './extension/definitions.ts'
import { flowSchemas, priorityLevels } from './extension/extensions.ts'
import { mutatingWebhooks, validatingWebhooks } from './extension/webhooks.ts'
import { ipAddresses, serviceCidrs } from './networking/addresses.ts'
import { ingressClasses, ingresses, networkPolicies } from './networking/networking.ts'
import { autoscalers } from './policy/autoscalers.ts'
import { limitRanges } from './policy/limit-ranges.ts'
import { podDisruptionBudgets, priorityClasses, runtimeClasses } from './policy/limits.ts'
import { resourceQuotas } from './policy/quotas.ts'
import { clusterRoleBindings, clusterRoles, roleBindings, roles } from './policy/rbac.ts'
import { deviceClasses, resourceClaims, resourceClaimTemplates } from './resource/claims.ts'
import { resourceSlices } from './resource/slices.ts'
import { storageCapacities, volumeAttributesClasses } from './storage/attributes.ts'
import { storageClasses } from './storage/classes.ts'
import { csiDrivers, csiNodes, volumeAttachments } from './storage/csi.ts'
import { claims, volumes } from './storage/volumes.ts'
import type { Strategy } from './strategy.ts'
import { builtInWarnings } from './warnings/warnings.ts'

const all: readonly Strategy[] = [
  pods,
  services,
  deployments,
  replicaSets,
  replicationControllers,
  nodes,
  namespaces,
  configMaps,
  secrets,
  serviceAccounts,
  coreEvents,
  newEvents,
  componentStatuses,
  endpoints,
  endpointSlices,
  leases,
  daemonSets,
  statefulSets,
  jobs,
  cronJobs,
  roles,
  clusterRoles,
  roleBindings,
  clusterRoleBindings,
  podDisruptionBudgets,
  autoscalers,
  resourceQuotas,
  limitRanges,
  priorityClasses,
  runtimeClasses,
  volumes,
  claims,
  storageClasses,
  ingresses,
  ingressClasses,
  networkPolicies,
  certificateRequests,
  mutatingWebhooks,
  validatingWebhooks,
  validatingPolicies,
  validatingBindings,
  mutatingPolicies,
  mutatingBindings,
  apiServices,
  definitions,
  flowSchemas,
  priorityLevels,
  csiDrivers,
  csiNodes,
  volumeAttachments,
  controllerRevisions,
  podTemplates,
  resourceClaims,
  resourceClaimTemplates,
  resourceSlices,
  deviceClasses,
  ipAddresses,
  serviceCidrs,
  volumeAttributesClasses,
  storageCapacities,
]

/** By `group/resource`; the core group is empty: `/pods`, `apps/deployments`. */
export const strategies: ReadonlyMap<string, Strategy> = new Map(
  all.map(strategy => {
    const key = `${strategy.group}/${strategy.resource}`
    const warnings = builtInWarnings.get(key)
    return [key, warnings === undefined ? strategy : { ...strategy, warnings }]
  }),
)
