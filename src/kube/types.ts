/**
 * Kubernetes' kinds and their parts as TypeScript types of the JSON on the wire. Types only: nothing is left of
 * this file at run time. `Kind` marks what has metadata of its own; `Wire` the parts.
 */
import type * as k8s from '@kubernetes/client-node'
import type { Kind, Wire } from './object.ts'

export type { KubeObject, ObjectMeta, OwnerReference } from './object.ts'

/** Number or string, as ports and max-surge are. */
export type IntOrString = number | string

export type Pod = Kind<k8s.V1Pod>
export type Node = Kind<k8s.V1Node>
export type Namespace = Kind<k8s.V1Namespace>
export type Service = Kind<k8s.V1Service>
export type ServiceAccount = Kind<k8s.V1ServiceAccount>
export type Secret = Kind<k8s.V1Secret>
export type ConfigMap = Kind<k8s.V1ConfigMap>
export type Endpoints = Kind<k8s.V1Endpoints>
export type PersistentVolume = Kind<k8s.V1PersistentVolume>
export type PersistentVolumeClaim = Kind<k8s.V1PersistentVolumeClaim>
export type PodTemplate = Kind<k8s.V1PodTemplate>
export type ReplicationController = Kind<k8s.V1ReplicationController>
export type ResourceQuota = Kind<k8s.V1ResourceQuota>
export type LimitRange = Kind<k8s.V1LimitRange>
export type Binding = Kind<k8s.V1Binding>
export type Deployment = Kind<k8s.V1Deployment>
export type ReplicaSet = Kind<k8s.V1ReplicaSet>
export type StatefulSet = Kind<k8s.V1StatefulSet>
export type DaemonSet = Kind<k8s.V1DaemonSet>
export type ControllerRevision = Kind<k8s.V1ControllerRevision>
export type Job = Kind<k8s.V1Job>
export type CronJob = Kind<k8s.V1CronJob>
export type EndpointSlice = Kind<k8s.V1EndpointSlice>
export type Lease = Kind<k8s.V1Lease>
export type Role = Kind<k8s.V1Role>
export type RoleBinding = Kind<k8s.V1RoleBinding>
export type ClusterRole = Kind<k8s.V1ClusterRole>
export type ClusterRoleBinding = Kind<k8s.V1ClusterRoleBinding>
export type Ingress = Kind<k8s.V1Ingress>
export type IngressClass = Kind<k8s.V1IngressClass>
export type NetworkPolicy = Kind<k8s.V1NetworkPolicy>
export type PriorityClass = Kind<k8s.V1PriorityClass>
export type RuntimeClass = Kind<k8s.V1RuntimeClass>
export type StorageClass = Kind<k8s.V1StorageClass>
export type CSINode = Kind<k8s.V1CSINode>
export type CSIDriver = Kind<k8s.V1CSIDriver>
export type VolumeAttachment = Kind<k8s.V1VolumeAttachment>
export type PodDisruptionBudget = Kind<k8s.V1PodDisruptionBudget>
export type Eviction = Kind<k8s.V1Eviction>
export type Scale = Kind<k8s.V1Scale>
export type CertificateSigningRequest = Kind<k8s.V1CertificateSigningRequest>
export type APIService = Kind<k8s.V1APIService>
export type CustomResourceDefinition = Kind<k8s.V1CustomResourceDefinition>
export type TokenReview = Kind<k8s.V1TokenReview>
export type SubjectAccessReview = Kind<k8s.V1SubjectAccessReview>
export type SelfSubjectAccessReview = Kind<k8s.V1SelfSubjectAccessReview>
export type LocalSubjectAccessReview = Kind<k8s.V1LocalSubjectAccessReview>
export type SelfSubjectRulesReview = Kind<k8s.V1SelfSubjectRulesReview>
export type SelfSubjectReview = Kind<k8s.V1SelfSubjectReview>
export type FlowSchema = Kind<k8s.V1FlowSchema>
export type PriorityLevelConfiguration = Kind<k8s.V1PriorityLevelConfiguration>
export type ValidatingWebhookConfiguration = Kind<k8s.V1ValidatingWebhookConfiguration>
export type MutatingWebhookConfiguration = Kind<k8s.V1MutatingWebhookConfiguration>
export type ValidatingAdmissionPolicy = Kind<k8s.V1ValidatingAdmissionPolicy>
export type ValidatingAdmissionPolicyBinding = Kind<k8s.V1ValidatingAdmissionPolicyBinding>
/** An event of the core group. */
export type Event = Kind<k8s.CoreV1Event>
/** An event of events.k8s.io, which is the same stored object. */
export type EventsEvent = Kind<k8s.EventsV1Event>
export type TokenRequest = Kind<k8s.AuthenticationV1TokenRequest>
export type HorizontalPodAutoscaler = Kind<k8s.V2HorizontalPodAutoscaler>
export type DeviceClass = Kind<k8s.V1DeviceClass>
export type ResourceClaim = Kind<k8s.ResourceV1ResourceClaim>
export type ResourceClaimTemplate = Kind<k8s.V1ResourceClaimTemplate>
export type ResourceSlice = Kind<k8s.V1ResourceSlice>
export type IPAddress = Kind<k8s.V1IPAddress>
export type ServiceCIDR = Kind<k8s.V1ServiceCIDR>
export type VolumeAttributesClass = Kind<k8s.V1VolumeAttributesClass>
export type CSIStorageCapacity = Kind<k8s.V1CSIStorageCapacity>

export type PodSpec = Wire<k8s.V1PodSpec>
export type PodStatus = Wire<k8s.V1PodStatus>
export type PodCondition = Wire<k8s.V1PodCondition>
export type PodTemplateSpec = Wire<k8s.V1PodTemplateSpec>
export type PodIP = Wire<k8s.V1PodIP>
export type PodSecurityContext = Wire<k8s.V1PodSecurityContext>
export type SecurityContext = Wire<k8s.V1SecurityContext>
export type Container = Wire<k8s.V1Container>
export type EphemeralContainer = Wire<k8s.V1EphemeralContainer>
export type ContainerPort = Wire<k8s.V1ContainerPort>
export type ContainerState = Wire<k8s.V1ContainerState>
export type ContainerStateWaiting = Wire<k8s.V1ContainerStateWaiting>
export type ContainerStateRunning = Wire<k8s.V1ContainerStateRunning>
export type ContainerStateTerminated = Wire<k8s.V1ContainerStateTerminated>
export type ContainerStatus = Wire<k8s.V1ContainerStatus>
export type Probe = Wire<k8s.V1Probe>
export type Lifecycle = Wire<k8s.V1Lifecycle>
export type LifecycleHandler = Wire<k8s.V1LifecycleHandler>
export type HTTPGetAction = Wire<k8s.V1HTTPGetAction>
export type TCPSocketAction = Wire<k8s.V1TCPSocketAction>
export type ExecAction = Wire<k8s.V1ExecAction>
export type GRPCAction = Wire<k8s.V1GRPCAction>
export type EnvVar = Wire<k8s.V1EnvVar>
export type EnvVarSource = Wire<k8s.V1EnvVarSource>
export type EnvFromSource = Wire<k8s.V1EnvFromSource>
export type ObjectFieldSelector = Wire<k8s.V1ObjectFieldSelector>
export type ResourceFieldSelector = Wire<k8s.V1ResourceFieldSelector>
export type ConfigMapKeySelector = Wire<k8s.V1ConfigMapKeySelector>
export type SecretKeySelector = Wire<k8s.V1SecretKeySelector>
export type ResourceRequirements = Wire<k8s.V1ResourceRequirements>
export type Volume = Wire<k8s.V1Volume>
export type VolumeMount = Wire<k8s.V1VolumeMount>
export type VolumeProjection = Wire<k8s.V1VolumeProjection>
export type ProjectedVolumeSource = Wire<k8s.V1ProjectedVolumeSource>
export type ConfigMapVolumeSource = Wire<k8s.V1ConfigMapVolumeSource>
export type SecretVolumeSource = Wire<k8s.V1SecretVolumeSource>
export type DownwardAPIVolumeSource = Wire<k8s.V1DownwardAPIVolumeSource>
export type DownwardAPIVolumeFile = Wire<k8s.V1DownwardAPIVolumeFile>
export type EmptyDirVolumeSource = Wire<k8s.V1EmptyDirVolumeSource>
export type HostPathVolumeSource = Wire<k8s.V1HostPathVolumeSource>
export type KeyToPath = Wire<k8s.V1KeyToPath>
export type ServiceAccountTokenProjection = Wire<k8s.V1ServiceAccountTokenProjection>
export type Affinity = Wire<k8s.V1Affinity>
export type NodeAffinity = Wire<k8s.V1NodeAffinity>
export type PodAffinity = Wire<k8s.V1PodAffinity>
export type PodAntiAffinity = Wire<k8s.V1PodAntiAffinity>
export type PodAffinityTerm = Wire<k8s.V1PodAffinityTerm>
export type WeightedPodAffinityTerm = Wire<k8s.V1WeightedPodAffinityTerm>
export type PreferredSchedulingTerm = Wire<k8s.V1PreferredSchedulingTerm>
export type NodeSelector = Wire<k8s.V1NodeSelector>
export type NodeSelectorTerm = Wire<k8s.V1NodeSelectorTerm>
export type NodeSelectorRequirement = Wire<k8s.V1NodeSelectorRequirement>
export type Toleration = Wire<k8s.V1Toleration>
export type Taint = Wire<k8s.V1Taint>
export type TopologySpreadConstraint = Wire<k8s.V1TopologySpreadConstraint>
export type NodeSpec = Wire<k8s.V1NodeSpec>
export type NodeStatus = Wire<k8s.V1NodeStatus>
export type NodeCondition = Wire<k8s.V1NodeCondition>
export type NodeAddress = Wire<k8s.V1NodeAddress>
export type NodeSystemInfo = Wire<k8s.V1NodeSystemInfo>
export type ContainerImage = Wire<k8s.V1ContainerImage>
export type NamespaceSpec = Wire<k8s.V1NamespaceSpec>
export type NamespaceStatus = Wire<k8s.V1NamespaceStatus>
export type NamespaceCondition = Wire<k8s.V1NamespaceCondition>
export type ServiceSpec = Wire<k8s.V1ServiceSpec>
export type ServiceStatus = Wire<k8s.V1ServiceStatus>
export type ServicePort = Wire<k8s.V1ServicePort>
export type EndpointAddress = Wire<k8s.V1EndpointAddress>
export type EndpointSubset = Wire<k8s.V1EndpointSubset>
export type LocalObjectReference = Wire<k8s.V1LocalObjectReference>
export type ObjectReference = Wire<k8s.V1ObjectReference>
export type TypedLocalObjectReference = Wire<k8s.V1TypedLocalObjectReference>
export type EventSource = Wire<k8s.V1EventSource>
export type DeploymentSpec = Wire<k8s.V1DeploymentSpec>
export type DeploymentStatus = Wire<k8s.V1DeploymentStatus>
export type DeploymentStrategy = Wire<k8s.V1DeploymentStrategy>
export type DeploymentCondition = Wire<k8s.V1DeploymentCondition>
export type RollingUpdateDeployment = Wire<k8s.V1RollingUpdateDeployment>
export type ReplicaSetSpec = Wire<k8s.V1ReplicaSetSpec>
export type ReplicaSetStatus = Wire<k8s.V1ReplicaSetStatus>
export type ReplicaSetCondition = Wire<k8s.V1ReplicaSetCondition>
export type StatefulSetSpec = Wire<k8s.V1StatefulSetSpec>
export type StatefulSetStatus = Wire<k8s.V1StatefulSetStatus>
export type DaemonSetSpec = Wire<k8s.V1DaemonSetSpec>
export type DaemonSetStatus = Wire<k8s.V1DaemonSetStatus>
export type JobSpec = Wire<k8s.V1JobSpec>
export type JobStatus = Wire<k8s.V1JobStatus>
export type CronJobStatus = Wire<k8s.V1CronJobStatus>
export type HorizontalPodAutoscalerStatus = Wire<k8s.V2HorizontalPodAutoscalerStatus>
export type HorizontalPodAutoscalerCondition = Wire<k8s.V2HorizontalPodAutoscalerCondition>
export type MetricSpec = Wire<k8s.V2MetricSpec>
export type MetricStatus = Wire<k8s.V2MetricStatus>
export type MetricTarget = Wire<k8s.V2MetricTarget>
export type HPAScalingRules = Wire<k8s.V2HPAScalingRules>
export type PodDisruptionBudgetStatus = Wire<k8s.V1PodDisruptionBudgetStatus>
export type JobCondition = Wire<k8s.V1JobCondition>
export type CronJobSpec = Wire<k8s.V1CronJobSpec>
export type JobTemplateSpec = Wire<k8s.V1JobTemplateSpec>
export type Endpoint = Wire<k8s.V1Endpoint>
export type EndpointConditions = Wire<k8s.V1EndpointConditions>
export type LeaseSpec = Wire<k8s.V1LeaseSpec>
export type PolicyRule = Wire<k8s.V1PolicyRule>
export type RoleRef = Wire<k8s.V1RoleRef>
export type AggregationRule = Wire<k8s.V1AggregationRule>
export type NetworkPolicySpec = Wire<k8s.V1NetworkPolicySpec>
export type NetworkPolicyPeer = Wire<k8s.V1NetworkPolicyPeer>
export type NetworkPolicyPort = Wire<k8s.V1NetworkPolicyPort>
export type LabelSelector = Wire<k8s.V1LabelSelector>
export type LabelSelectorRequirement = Wire<k8s.V1LabelSelectorRequirement>
export type Condition = Wire<k8s.V1Condition>
export type ManagedFieldsEntry = Wire<k8s.V1ManagedFieldsEntry>
export type ListMeta = Wire<k8s.V1ListMeta>
export type DeleteOptions = Wire<k8s.V1DeleteOptions>
export type Preconditions = Wire<k8s.V1Preconditions>
export type StatusCause = Wire<k8s.V1StatusCause>
export type StatusDetails = Wire<k8s.V1StatusDetails>
export type SubjectAccessReviewSpec = Wire<k8s.V1SubjectAccessReviewSpec>
export type SubjectAccessReviewStatus = Wire<k8s.V1SubjectAccessReviewStatus>
export type ResourceAttributes = Wire<k8s.V1ResourceAttributes>
export type NonResourceAttributes = Wire<k8s.V1NonResourceAttributes>
export type TokenReviewSpec = Wire<k8s.V1TokenReviewSpec>
export type TokenReviewStatus = Wire<k8s.V1TokenReviewStatus>
export type UserInfo = Wire<k8s.V1UserInfo>
export type TokenRequestSpec = Wire<k8s.V1TokenRequestSpec>
export type TokenRequestStatus = Wire<k8s.V1TokenRequestStatus>
export type APIGroup = Wire<k8s.V1APIGroup>
export type APIGroupList = Wire<k8s.V1APIGroupList>
export type APIResource = Wire<k8s.V1APIResource>
export type APIResourceList = Wire<k8s.V1APIResourceList>
export type APIVersions = Wire<k8s.V1APIVersions>
export type GroupVersionForDiscovery = Wire<k8s.V1GroupVersionForDiscovery>
export type EndpointPort = Wire<k8s.CoreV1EndpointPort>
export type EndpointSlicePort = Wire<k8s.DiscoveryV1EndpointPort>
export type Subject = Wire<k8s.RbacV1Subject>
export type EventSeries = Wire<k8s.CoreV1EventSeries>
/** Resource name to quantity. */
export type ResourceList = Record<string, string>

/** The list of a kind, as the API server answers it. */
export interface KubeList<T> {
  apiVersion: string
  kind: string
  metadata: ListMeta
  items: T[]
}
