/**
 * Fields of the groups other than core that are never absent: an omitted one has the zero value of its type ('', 0, false, {}), because
 * upstream's Go type is no pointer and is always written. One line per type: `Type: field field`.
 */
export const groupZeroValues: Readonly<Record<string, string>> = {
  'io.k8s.api.admissionregistration.v1': `
AuditAnnotation: key valueExpression
ExpressionWarning: fieldRef warning
MatchCondition: expression name
MutatingAdmissionPolicy: metadata spec
MutatingAdmissionPolicyBinding: metadata spec
MutatingAdmissionPolicyBindingList: metadata
MutatingAdmissionPolicyList: metadata
MutatingWebhook: clientConfig name
MutatingWebhookConfiguration: metadata
MutatingWebhookConfigurationList: metadata
Mutation: patchType
ServiceReference: name namespace
ValidatingAdmissionPolicy: metadata spec status
ValidatingAdmissionPolicyBinding: metadata spec
ValidatingAdmissionPolicyBindingList: metadata
ValidatingAdmissionPolicyList: metadata
ValidatingWebhook: clientConfig name
ValidatingWebhookConfiguration: metadata
ValidatingWebhookConfigurationList: metadata
Validation: expression
Variable: expression name`,
  'io.k8s.api.apps.v1': `
ControllerRevision: metadata revision
ControllerRevisionList: metadata
DaemonSet: metadata spec status
DaemonSetCondition: status type
DaemonSetList: metadata
DaemonSetSpec: template updateStrategy
DaemonSetStatus: currentNumberScheduled desiredNumberScheduled numberMisscheduled numberReady
Deployment: metadata spec status
DeploymentCondition: status type
DeploymentList: metadata
DeploymentSpec: strategy template
ReplicaSet: metadata spec status
ReplicaSetCondition: status type
ReplicaSetList: metadata
ReplicaSetSpec: template
ReplicaSetStatus: replicas
StatefulSet: metadata spec status
StatefulSetCondition: status type
StatefulSetList: metadata
StatefulSetOrdinals: start
StatefulSetSpec: serviceName template updateStrategy
StatefulSetStatus: availableReplicas replicas`,
  'io.k8s.api.authentication.v1': `
SelfSubjectReview: metadata status
SelfSubjectReviewStatus: userInfo
TokenRequest: metadata spec status
TokenRequestStatus: token
TokenReview: metadata spec status
TokenReviewStatus: user`,
  'io.k8s.api.authorization.v1': `
LocalSubjectAccessReview: metadata spec status
SelfSubjectAccessReview: metadata spec status
SelfSubjectRulesReview: metadata spec status
SubjectAccessReview: metadata spec status
SubjectAccessReviewStatus: allowed
SubjectRulesReviewStatus: incomplete`,
  'io.k8s.api.autoscaling.v1': `
CrossVersionObjectReference: kind name
HorizontalPodAutoscaler: metadata spec status
HorizontalPodAutoscalerList: metadata
HorizontalPodAutoscalerSpec: maxReplicas scaleTargetRef
HorizontalPodAutoscalerStatus: currentReplicas desiredReplicas
Scale: metadata spec status
ScaleSpec: replicas
ScaleStatus: replicas`,
  'io.k8s.api.autoscaling.v2': `
ContainerResourceMetricSource: container name target
ContainerResourceMetricStatus: container current name
CrossVersionObjectReference: kind name
ExternalMetricSource: metric target
ExternalMetricStatus: current metric
HPAScalingPolicy: periodSeconds type value
HorizontalPodAutoscaler: metadata spec status
HorizontalPodAutoscalerCondition: status type
HorizontalPodAutoscalerList: metadata
HorizontalPodAutoscalerSpec: maxReplicas scaleTargetRef
HorizontalPodAutoscalerStatus: desiredReplicas
MetricIdentifier: name
MetricSpec: type
MetricStatus: type
MetricTarget: type
ObjectMetricSource: describedObject metric target
ObjectMetricStatus: current describedObject metric
PodsMetricSource: metric target
PodsMetricStatus: current metric
ResourceMetricSource: name target
ResourceMetricStatus: current name`,
  'io.k8s.api.batch.v1': `
CronJob: metadata spec status
CronJobList: metadata
CronJobSpec: jobTemplate schedule
Job: metadata spec status
JobCondition: status type
JobList: metadata
JobSpec: template
JobTemplateSpec: metadata spec
PodFailurePolicyOnExitCodesRequirement: operator
PodFailurePolicyOnPodConditionsPattern: status type
PodFailurePolicyRule: action`,
  'io.k8s.api.certificates.v1': `
CertificateSigningRequest: metadata spec status
CertificateSigningRequestCondition: status type
CertificateSigningRequestList: metadata
CertificateSigningRequestSpec: signerName`,
  'io.k8s.api.coordination.v1': `
Lease: metadata spec
LeaseList: metadata`,
  'io.k8s.api.discovery.v1': `
Endpoint: conditions
EndpointSlice: addressType metadata
EndpointSliceList: metadata
ForNode: name
ForZone: name`,
  'io.k8s.api.events.v1': `
Event: deprecatedSource metadata regarding
EventList: metadata
EventSeries: count`,
  'io.k8s.api.flowcontrol.v1': `
FlowDistinguisherMethod: type
FlowSchema: metadata spec status
FlowSchemaList: metadata
FlowSchemaSpec: matchingPrecedence priorityLevelConfiguration
GroupSubject: name
LimitResponse: type
LimitedPriorityLevelConfiguration: limitResponse
PriorityLevelConfiguration: metadata spec status
PriorityLevelConfigurationList: metadata
PriorityLevelConfigurationReference: name
PriorityLevelConfigurationSpec: type
QueuingConfiguration: handSize queueLengthLimit queues
ServiceAccountSubject: name namespace
Subject: kind
UserSubject: name`,
  'io.k8s.api.networking.v1': `
HTTPIngressPath: backend
IPAddress: metadata spec
IPAddressList: metadata
IPBlock: cidr
Ingress: metadata spec status
IngressClass: metadata spec
IngressClassList: metadata
IngressClassParametersReference: kind name
IngressList: metadata
IngressPortStatus: port protocol
IngressServiceBackend: name port
IngressStatus: loadBalancer
NetworkPolicy: metadata spec
NetworkPolicyList: metadata
NetworkPolicySpec: podSelector
ServiceCIDR: metadata spec status
ServiceCIDRList: metadata`,
  'io.k8s.api.node.v1': `
RuntimeClass: handler metadata
RuntimeClassList: metadata`,
  'io.k8s.api.policy.v1': `
Eviction: metadata
PodDisruptionBudget: metadata spec status
PodDisruptionBudgetList: metadata
PodDisruptionBudgetStatus: currentHealthy desiredHealthy disruptionsAllowed expectedPods`,
  'io.k8s.api.rbac.v1': `
ClusterRole: metadata
ClusterRoleBinding: metadata roleRef
ClusterRoleBindingList: metadata
ClusterRoleList: metadata
Role: metadata
RoleBinding: metadata roleRef
RoleBindingList: metadata
RoleList: metadata
RoleRef: apiGroup kind name
Subject: kind name`,
  'io.k8s.api.resource.v1': `
AllocatedDeviceStatus: device driver pool
AllocationResult: devices
CELDeviceSelector: expression
CounterSet: name
Device: name
DeviceAllocationConfiguration: source
DeviceClass: metadata spec
DeviceClassList: metadata
DeviceCounterConsumption: counterSet
DeviceRequest: name
DeviceRequestAllocationResult: device driver pool request
DeviceSubRequest: deviceClassName name
DeviceTaint: effect key
ExactDeviceRequest: deviceClassName
OpaqueDeviceConfiguration: driver
ResourceClaim: metadata spec status
ResourceClaimConsumerReference: name resource uid
ResourceClaimList: metadata
ResourceClaimSpec: devices
ResourceClaimTemplate: metadata spec
ResourceClaimTemplateList: metadata
ResourceClaimTemplateSpec: metadata spec
ResourcePool: generation name resourceSliceCount
ResourceSlice: metadata spec
ResourceSliceList: metadata
ResourceSliceSpec: driver pool`,
  'io.k8s.api.scheduling.v1': `
PriorityClass: metadata value
PriorityClassList: metadata`,
  'io.k8s.api.storage.v1': `
CSIDriver: metadata spec
CSIDriverList: metadata
CSINode: metadata spec
CSINodeDriver: name nodeID
CSINodeList: metadata
CSIStorageCapacity: metadata storageClassName
CSIStorageCapacityList: metadata
StorageClass: metadata provisioner
StorageClassList: metadata
TokenRequest: audience
VolumeAttachment: metadata spec status
VolumeAttachmentList: metadata
VolumeAttachmentSpec: attacher nodeName source
VolumeAttachmentStatus: attached
VolumeAttributesClass: driverName metadata
VolumeAttributesClassList: metadata`,
  'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1': `
CustomResourceColumnDefinition: jsonPath name type
CustomResourceConversion: strategy
CustomResourceDefinition: metadata spec status
CustomResourceDefinitionCondition: status type
CustomResourceDefinitionList: metadata
CustomResourceDefinitionNames: kind plural
CustomResourceDefinitionSpec: group names scope
CustomResourceDefinitionStatus: acceptedNames
CustomResourceDefinitionVersion: name served storage
CustomResourceSubresourceScale: specReplicasPath statusReplicasPath
SelectableField: jsonPath
ServiceReference: name namespace
ValidationRule: rule`,
  'io.k8s.apimachinery.pkg.apis.meta.v1': `
APIGroup: name preferredVersion
APIResource: kind name namespaced singularName
APIResourceList: groupVersion
Condition: message reason status type
FieldSelectorRequirement: key operator
GroupVersionForDiscovery: groupVersion version
LabelSelectorRequirement: key operator
OwnerReference: apiVersion kind name uid
ServerAddressByClientCIDR: clientCIDR serverAddress
ShardInfo: selector
Status: metadata
WatchEvent: type`,
  'io.k8s.kube-aggregator.pkg.apis.apiregistration.v1': `
APIService: metadata spec status
APIServiceCondition: status type
APIServiceList: metadata
APIServiceSpec: groupPriorityMinimum versionPriority`,
}
