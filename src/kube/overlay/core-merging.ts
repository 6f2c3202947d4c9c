/**
 * How lists and maps of the core group merge, per type and field.
 * One line per type: `Type: field fact fact; field fact`.
 * Facts: `atomic`, `set`, `map(keys)` are list types of server-side apply, `map-atomic` and `map-granular` map
 * types (`*` for the type itself), `merge(key)`, `merge`, `retainKeys`, `merge+retainKeys(key)` patch strategies
 * with their merge key. An indented line goes on from the one before.
 */
export const coreMerging: Readonly<Record<string, string>> = {
  'io.k8s.api.core.v1': `
Capabilities: add atomic; drop atomic
CephFSPersistentVolumeSource: monitors atomic
CephFSVolumeSource: monitors atomic
ComponentStatus: conditions map(type) merge(type)
ConfigMapKeySelector: * map-atomic
ConfigMapProjection: items atomic
ConfigMapVolumeSource: items atomic
Container: args atomic; command atomic; env map(name) merge(name); envFrom atomic; ports
  map(containerPort,protocol) merge(containerPort); resizePolicy atomic; restartPolicyRules atomic;
  volumeDevices map(devicePath) merge(devicePath); volumeMounts map(mountPath) merge(mountPath)
ContainerImage: names atomic
ContainerRestartRuleOnExitCodes: values set
ContainerStatus: allocatedResourcesStatus map(name) merge(name); volumeMounts map(mountPath)
  merge(mountPath)
DownwardAPIProjection: items atomic
DownwardAPIVolumeSource: items atomic
EndpointAddress: * map-atomic
EndpointPort: * map-atomic
EndpointSubset: addresses atomic; notReadyAddresses atomic; ports atomic
Endpoints: subsets atomic
EphemeralContainer: args atomic; command atomic; env map(name) merge(name); envFrom atomic; ports
  map(containerPort,protocol) merge(containerPort); resizePolicy atomic; restartPolicyRules atomic;
  volumeDevices map(devicePath) merge(devicePath); volumeMounts map(mountPath) merge(mountPath)
ExecAction: command atomic
FCVolumeSource: targetWWNs atomic; wwids atomic
FileKeySelector: * map-atomic
HTTPGetAction: httpHeaders atomic
HostAlias: hostnames atomic
ISCSIPersistentVolumeSource: portals atomic
ISCSIVolumeSource: portals atomic
LimitRangeSpec: limits atomic
LinuxContainerUser: supplementalGroups atomic
LoadBalancerIngress: ports atomic
LoadBalancerStatus: ingress atomic
LocalObjectReference: * map-atomic
NamespaceSpec: finalizers atomic
NamespaceStatus: conditions map(type) merge(type)
NodeAffinity: preferredDuringSchedulingIgnoredDuringExecution atomic
NodeAllocatableResourceClaimStatus: containers set
NodeSelector: * map-atomic; nodeSelectorTerms atomic
NodeSelectorRequirement: values atomic
NodeSelectorTerm: * map-atomic; matchExpressions atomic; matchFields atomic
NodeSpec: podCIDRs set merge; taints atomic
NodeStatus: addresses map(type) merge(type); conditions map(type) merge(type); declaredFeatures atomic;
  images atomic; runtimeHandlers atomic; volumesAttached atomic; volumesInUse atomic
ObjectFieldSelector: * map-atomic
ObjectReference: * map-atomic
PersistentVolumeClaimSpec: accessModes atomic
PersistentVolumeClaimStatus: accessModes atomic; allocatedResourceStatuses map-granular; conditions
  map(type) merge(type)
PersistentVolumeSpec: accessModes atomic; claimRef map-granular; mountOptions atomic
PodAffinity: preferredDuringSchedulingIgnoredDuringExecution atomic;
  requiredDuringSchedulingIgnoredDuringExecution atomic
PodAffinityTerm: matchLabelKeys atomic; mismatchLabelKeys atomic; namespaces atomic
PodAntiAffinity: preferredDuringSchedulingIgnoredDuringExecution atomic;
  requiredDuringSchedulingIgnoredDuringExecution atomic
PodDNSConfig: nameservers atomic; options atomic; searches atomic
PodExtendedResourceClaimStatus: requestMappings atomic
PodSecurityContext: supplementalGroups atomic; sysctls atomic
PodSpec: containers map(name) merge(name); ephemeralContainers map(name) merge(name); hostAliases map(ip)
  merge(ip); imagePullSecrets map(name) merge(name); initContainers map(name) merge(name); nodeSelector
  map-atomic; readinessGates atomic; resourceClaims map(name) merge+retainKeys(name); schedulingGates
  map(name) merge(name); tolerations atomic; topologySpreadConstraints map(topologyKey,whenUnsatisfiable)
  merge(topologyKey); volumes map(name) merge+retainKeys(name)
PodStatus: conditions map(type) merge(type); containerStatuses atomic; ephemeralContainerStatuses atomic;
  hostIPs atomic merge(ip); initContainerStatuses atomic; nodeAllocatableResourceClaimStatuses atomic;
  podIPs map(ip) merge(ip); resourceClaimStatuses map(name) merge+retainKeys(name)
ProjectedVolumeSource: sources atomic
RBDPersistentVolumeSource: monitors atomic
RBDVolumeSource: monitors atomic
ReplicationControllerSpec: selector map-atomic
ReplicationControllerStatus: conditions map(type) merge(type)
ResourceFieldSelector: * map-atomic
ResourceQuotaSpec: scopes atomic
ResourceRequirements: claims map(name)
ResourceStatus: resources map(resourceID)
ScopeSelector: * map-atomic; matchExpressions atomic
ScopedResourceSelectorRequirement: values atomic
SecretKeySelector: * map-atomic
SecretProjection: items atomic
SecretReference: * map-atomic
SecretVolumeSource: items atomic
ServiceAccount: imagePullSecrets atomic; secrets map(name) merge(name)
ServiceSpec: clusterIPs atomic; externalIPs atomic; ipFamilies atomic; loadBalancerSourceRanges atomic;
  ports map(port,protocol) merge(port); selector map-atomic
ServiceStatus: conditions map(type) merge(type)
TopologySelectorLabelRequirement: values atomic
TopologySelectorTerm: * map-atomic; matchLabelExpressions atomic
TopologySpreadConstraint: matchLabelKeys atomic
TypedLocalObjectReference: * map-atomic`,
}
