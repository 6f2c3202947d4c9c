/**
 * What a zero in a protobuf message means. Go writes fields that are no pointers always and pointers only when they
 * are set, and the message does not say which is which. In JSON the zero of a non-pointer is left out.
 */

/** Booleans whose `false` says something else than leaving them out. */
const MEANINGFUL_FALSE = new Set([
  'allocateLoadBalancerNodePorts',
  'allowPrivilegeEscalation',
  'allowVolumeExpansion',
  'attachRequired',
  'automountServiceAccountToken',
  'blockOwnerDeletion',
  'controller',
  'enableServiceLinks',
  'hostUsers',
  'podInfoOnMount',
  'privileged',
  'ready',
  'requiresRepublish',
  'runAsNonRoot',
  'serving',
  'storageCapacity',
  'terminating',
])

/** Numbers whose zero is the same as leaving them out. */
const MEANINGLESS_ZERO = new Set([
  'count',
  'currentHealthy',
  'failureThreshold',
  'generation',
  'healthCheckNodePort',
  'hostPort',
  'initialDelaySeconds',
  'minReadySeconds',
  'nodePort',
  'observedGeneration',
  'periodSeconds',
  'remainingItemCount',
  'successThreshold',
  'timeoutSeconds',
])

/** Strings whose emptiness says something. */
const MEANINGFUL_EMPTY = new Set(['storageClassName', 'volumeAttributesClassName'])

/** Whether a decoded field is left out of the object. */
export function isOmitted(name: string, value: unknown): boolean {
  if (value === null) return true
  if (value === '') return !MEANINGFUL_EMPTY.has(name)
  if (value === false) return !MEANINGFUL_FALSE.has(name)
  if (value === 0) return MEANINGLESS_ZERO.has(name)
  return false
}
