/**
 * Formats that client-node's classes do not tell: which strings are quantities, which map and list values are
 * bytes or 64-bit integers, and what stands in for whole types that are no objects. `<prefix>.<Type>.<field>`.
 */
const core = 'io.k8s.api.core.v1'
const resource = 'io.k8s.api.resource.v1'
const autoscaling = 'io.k8s.api.autoscaling.v2'

const within = (prefix: string, names: string): string[] =>
  names.split(/\s+/).map(name => `${prefix}.${name}`)

export const quantityFields: readonly string[] = [
  ...within(
    autoscaling,
    `HPAScalingRules.tolerance MetricTarget.averageValue MetricTarget.value MetricValueStatus.averageValue
     MetricValueStatus.value`,
  ),
  ...within(
    core,
    `ContainerStatus.allocatedResources EmptyDirVolumeSource.sizeLimit LimitRangeItem.default
     LimitRangeItem.defaultRequest LimitRangeItem.max LimitRangeItem.maxLimitRequestRatio LimitRangeItem.min
     NodeAllocatableResourceClaimStatus.resources NodeStatus.allocatable NodeStatus.capacity
     PersistentVolumeClaimStatus.allocatedResources PersistentVolumeClaimStatus.capacity
     PersistentVolumeSpec.capacity PodSpec.overhead PodStatus.allocatedResources ResourceFieldSelector.divisor
     ResourceQuotaSpec.hard ResourceQuotaStatus.hard ResourceQuotaStatus.used ResourceRequirements.limits
     ResourceRequirements.requests VolumeResourceRequirements.limits VolumeResourceRequirements.requests`,
  ),
  'io.k8s.api.node.v1.Overhead.podFixed',
  ...within(
    resource,
    `CapacityRequestPolicy.default CapacityRequestPolicy.validValues CapacityRequestPolicyRange.max
     CapacityRequestPolicyRange.min CapacityRequestPolicyRange.step CapacityRequirements.requests
     Counter.value
     DeviceCapacity.value DeviceRequestAllocationResult.consumedCapacity
     NodeAllocatableResourceMapping.allocationMultiplier`,
  ),
  ...within('io.k8s.api.storage.v1', 'CSIStorageCapacity.capacity CSIStorageCapacity.maximumVolumeSize'),
]

/** Maps whose values are base64. */
export const bytesFields: readonly string[] = [`${core}.ConfigMap.binaryData`, `${core}.Secret.data`]

/** Lists of 64-bit integers; other lists of integers have 32 bits. */
export const longListFields: readonly string[] = [
  `${core}.LinuxContainerUser.supplementalGroups`,
  `${core}.PodSecurityContext.supplementalGroups`,
  `${resource}.DeviceAttribute.ints`,
]
