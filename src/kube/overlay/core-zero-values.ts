/**
 * Fields of the core group that are never absent: an omitted one has the zero value of its type ('', 0, false, {}), because
 * upstream's Go type is no pointer and is always written. One line per type: `Type: field field`.
 */
export const coreZeroValues: Readonly<Record<string, string>> = {
  'io.k8s.api.core.v1': `
AWSElasticBlockStoreVolumeSource: volumeID
AppArmorProfile: type
AttachedVolume: devicePath name
AzureDiskVolumeSource: diskName diskURI readOnly
AzureFilePersistentVolumeSource: secretName shareName
AzureFileVolumeSource: secretName shareName
Binding: metadata target
CSIPersistentVolumeSource: driver volumeHandle
CSIVolumeSource: driver
CinderPersistentVolumeSource: volumeID
CinderVolumeSource: volumeID
ClusterTrustBundleProjection: path
ComponentCondition: status type
ComponentStatus: metadata
ComponentStatusList: metadata
ConfigMap: metadata
ConfigMapEnvSource: name
ConfigMapKeySelector: key name
ConfigMapList: metadata
ConfigMapNodeConfigSource: kubeletConfigKey name namespace
ConfigMapProjection: name
ConfigMapVolumeSource: name
Container: name resources
ContainerExtendedResourceRequest: containerName requestName resourceName
ContainerPort: containerPort
ContainerResizePolicy: resourceName restartPolicy
ContainerStateTerminated: exitCode
ContainerStatus: image imageID lastState name ready restartCount state
DaemonEndpoint: Port
DownwardAPIVolumeFile: path
EndpointAddress: ip
EndpointPort: port
Endpoints: metadata
EndpointsList: metadata
EnvVar: name
EphemeralContainer: name resources
Event: involvedObject metadata reportingComponent reportingInstance source
EventList: metadata
FileKeySelector: key optional path volumeName
FlexPersistentVolumeSource: driver
FlexVolumeSource: driver
GCEPersistentDiskVolumeSource: pdName
GRPCAction: port service
GitRepoVolumeSource: repository
GlusterfsPersistentVolumeSource: endpoints path
GlusterfsVolumeSource: endpoints path
HTTPHeader: name value
HostAlias: ip
HostIP: ip
HostPathVolumeSource: path
ISCSIPersistentVolumeSource: iqn lun targetPortal
ISCSIVolumeSource: iqn lun targetPortal
KeyToPath: key path
LimitRange: metadata spec
LimitRangeItem: type
LimitRangeList: metadata
LinuxContainerUser: gid uid
LocalObjectReference: name
LocalVolumeSource: path
ModifyVolumeStatus: status
NFSVolumeSource: path server
Namespace: metadata spec status
NamespaceCondition: status type
NamespaceList: metadata
Node: metadata spec status
NodeAddress: address type
NodeAllocatableResourceClaimStatus: resourceClaimName
NodeCondition: status type
NodeDaemonEndpoints: kubeletEndpoint
NodeList: metadata
NodeRuntimeHandler: name
NodeSelectorRequirement: key operator
NodeStatus: daemonEndpoints nodeInfo
NodeSystemInfo: architecture bootID containerRuntimeVersion kernelVersion kubeProxyVersion kubeletVersion
  machineID operatingSystem osImage systemUUID
ObjectFieldSelector: fieldPath
PersistentVolume: metadata spec status
PersistentVolumeClaim: metadata spec status
PersistentVolumeClaimCondition: status type
PersistentVolumeClaimList: metadata
PersistentVolumeClaimSpec: resources
PersistentVolumeClaimTemplate: metadata spec
PersistentVolumeClaimVolumeSource: claimName
PersistentVolumeList: metadata
PhotonPersistentDiskVolumeSource: pdID
Pod: metadata spec status
PodAffinityTerm: topologyKey
PodCondition: status type
PodExtendedResourceClaimStatus: resourceClaimName
PodIP: ip
PodList: metadata
PodOS: name
PodReadinessGate: conditionType
PodResourceClaim: name
PodResourceClaimStatus: name
PodSchedulingGate: name
PodTemplate: metadata template
PodTemplateList: metadata
PodTemplateSpec: metadata spec
PortStatus: port protocol
PortworxVolumeSource: volumeID
PreferredSchedulingTerm: preference weight
QuobyteVolumeSource: registry volume
RBDPersistentVolumeSource: image
RBDVolumeSource: image
ReplicationController: metadata spec status
ReplicationControllerCondition: status type
ReplicationControllerList: metadata
ReplicationControllerSpec: minReadySeconds
ReplicationControllerStatus: replicas
ResourceClaim: name
ResourceFieldSelector: resource
ResourceHealth: resourceID
ResourceQuota: metadata spec status
ResourceQuotaList: metadata
ResourceStatus: name
ScaleIOPersistentVolumeSource: gateway system
ScaleIOVolumeSource: gateway system
ScopedResourceSelectorRequirement: operator scopeName
SeccompProfile: type
Secret: metadata
SecretEnvSource: name
SecretKeySelector: key name
SecretList: metadata
SecretProjection: name
Service: metadata spec status
ServiceAccount: metadata
ServiceAccountList: metadata
ServiceAccountTokenProjection: path
ServiceList: metadata
ServicePort: port
ServiceStatus: loadBalancer
SleepAction: seconds
Sysctl: name value
Taint: effect key
TopologySelectorLabelRequirement: key
TopologySpreadConstraint: maxSkew topologyKey whenUnsatisfiable
TypedLocalObjectReference: kind name
TypedObjectReference: kind name
Volume: name
VolumeDevice: devicePath name
VolumeMount: mountPath name
VolumeMountStatus: mountPath name
VsphereVirtualDiskVolumeSource: volumePath
WeightedPodAffinityTerm: podAffinityTerm weight`,
}
