/**
 * Which client-node class is which OpenAPI type: for each package of the stable API its group, its version and its
 * types. `Name=Class` where the class is not called version + name.
 */
export interface PackageFacts {
  /** OpenAPI prefix. */
  readonly prefix: string
  readonly group: string
  readonly version: string
  readonly types: string
}

export const packages: readonly PackageFacts[] = [
  {
    prefix: 'io.k8s.api.admissionregistration.v1',
    group: 'admissionregistration.k8s.io',
    version: 'v1',
    types: `
      ApplyConfiguration AuditAnnotation ExpressionWarning JSONPatch MatchCondition MatchResources
      MutatingAdmissionPolicy MutatingAdmissionPolicyBinding MutatingAdmissionPolicyBindingList
      MutatingAdmissionPolicyBindingSpec MutatingAdmissionPolicyList MutatingAdmissionPolicySpec
      MutatingWebhook MutatingWebhookConfiguration MutatingWebhookConfigurationList Mutation
      NamedRuleWithOperations ParamKind ParamRef RuleWithOperations
      ServiceReference=AdmissionregistrationV1ServiceReference TypeChecking ValidatingAdmissionPolicy
      ValidatingAdmissionPolicyBinding ValidatingAdmissionPolicyBindingList
      ValidatingAdmissionPolicyBindingSpec ValidatingAdmissionPolicyList ValidatingAdmissionPolicySpec
      ValidatingAdmissionPolicyStatus ValidatingWebhook ValidatingWebhookConfiguration
      ValidatingWebhookConfigurationList Validation Variable
      WebhookClientConfig=AdmissionregistrationV1WebhookClientConfig`,
  },
  {
    prefix: 'io.k8s.api.apps.v1',
    group: 'apps',
    version: 'v1',
    types: `
      ControllerRevision ControllerRevisionList DaemonSet DaemonSetCondition DaemonSetList DaemonSetSpec
      DaemonSetStatus DaemonSetUpdateStrategy Deployment DeploymentCondition DeploymentList DeploymentSpec
      DeploymentStatus DeploymentStrategy ReplicaSet ReplicaSetCondition ReplicaSetList ReplicaSetSpec
      ReplicaSetStatus RollingUpdateDaemonSet RollingUpdateDeployment RollingUpdateStatefulSetStrategy
      StatefulSet StatefulSetCondition StatefulSetList StatefulSetOrdinals
      StatefulSetPersistentVolumeClaimRetentionPolicy StatefulSetSpec StatefulSetStatus
      StatefulSetUpdateStrategy`,
  },
  {
    prefix: 'io.k8s.api.authentication.v1',
    group: 'authentication.k8s.io',
    version: 'v1',
    types: `
      BoundObjectReference SelfSubjectReview SelfSubjectReviewStatus
      TokenRequest=AuthenticationV1TokenRequest TokenRequestSpec TokenRequestStatus TokenReview
      TokenReviewSpec TokenReviewStatus UserInfo`,
  },
  {
    prefix: 'io.k8s.api.authorization.v1',
    group: 'authorization.k8s.io',
    version: 'v1',
    types: `
      FieldSelectorAttributes LabelSelectorAttributes LocalSubjectAccessReview NonResourceAttributes
      NonResourceRule ResourceAttributes ResourceRule SelfSubjectAccessReview SelfSubjectAccessReviewSpec
      SelfSubjectRulesReview SelfSubjectRulesReviewSpec SubjectAccessReview SubjectAccessReviewSpec
      SubjectAccessReviewStatus SubjectRulesReviewStatus`,
  },
  {
    prefix: 'io.k8s.api.autoscaling.v1',
    group: 'autoscaling',
    version: 'v1',
    types: `
      CrossVersionObjectReference HorizontalPodAutoscaler HorizontalPodAutoscalerList
      HorizontalPodAutoscalerSpec HorizontalPodAutoscalerStatus Scale ScaleSpec ScaleStatus`,
  },
  {
    prefix: 'io.k8s.api.autoscaling.v2',
    group: 'autoscaling',
    version: 'v2',
    types: `
      ContainerResourceMetricSource ContainerResourceMetricStatus CrossVersionObjectReference
      ExternalMetricSource ExternalMetricStatus HPAScalingPolicy HPAScalingRules HorizontalPodAutoscaler
      HorizontalPodAutoscalerBehavior HorizontalPodAutoscalerCondition HorizontalPodAutoscalerList
      HorizontalPodAutoscalerSpec HorizontalPodAutoscalerStatus MetricIdentifier MetricSpec MetricStatus
      MetricTarget MetricValueStatus ObjectMetricSource ObjectMetricStatus PodsMetricSource PodsMetricStatus
      ResourceMetricSource ResourceMetricStatus`,
  },
  {
    prefix: 'io.k8s.api.batch.v1',
    group: 'batch',
    version: 'v1',
    types: `
      CronJob CronJobList CronJobSpec CronJobStatus Job JobCondition JobList JobSpec JobStatus
      JobTemplateSpec PodFailurePolicy PodFailurePolicyOnExitCodesRequirement
      PodFailurePolicyOnPodConditionsPattern PodFailurePolicyRule SuccessPolicy SuccessPolicyRule
      UncountedTerminatedPods`,
  },
  {
    prefix: 'io.k8s.api.certificates.v1',
    group: 'certificates.k8s.io',
    version: 'v1',
    types: `
      CertificateSigningRequest CertificateSigningRequestCondition CertificateSigningRequestList
      CertificateSigningRequestSpec CertificateSigningRequestStatus`,
  },
  {
    prefix: 'io.k8s.api.coordination.v1',
    group: 'coordination.k8s.io',
    version: 'v1',
    types: `
      Lease LeaseList LeaseSpec`,
  },
  {
    prefix: 'io.k8s.api.core.v1',
    group: '',
    version: 'v1',
    types: `
      AWSElasticBlockStoreVolumeSource Affinity AppArmorProfile AttachedVolume AzureDiskVolumeSource
      AzureFilePersistentVolumeSource AzureFileVolumeSource Binding CSIPersistentVolumeSource
      CSIVolumeSource Capabilities CephFSPersistentVolumeSource CephFSVolumeSource
      CinderPersistentVolumeSource CinderVolumeSource ClientIPConfig ClusterTrustBundleProjection
      ComponentCondition ComponentStatus ComponentStatusList ConfigMap ConfigMapEnvSource
      ConfigMapKeySelector ConfigMapList ConfigMapNodeConfigSource ConfigMapProjection ConfigMapVolumeSource
      Container ContainerExtendedResourceRequest ContainerImage ContainerPort ContainerResizePolicy
      ContainerRestartRule ContainerRestartRuleOnExitCodes ContainerState ContainerStateRunning
      ContainerStateTerminated ContainerStateWaiting ContainerStatus ContainerUser DaemonEndpoint
      DownwardAPIProjection DownwardAPIVolumeFile DownwardAPIVolumeSource EmptyDirVolumeSource
      EndpointAddress EndpointPort=CoreV1EndpointPort EndpointSubset Endpoints EndpointsList EnvFromSource
      EnvVar EnvVarSource EphemeralContainer EphemeralVolumeSource Event=CoreV1Event
      EventList=CoreV1EventList EventSeries=CoreV1EventSeries EventSource ExecAction FCVolumeSource
      FileKeySelector FlexPersistentVolumeSource FlexVolumeSource FlockerVolumeSource
      GCEPersistentDiskVolumeSource GRPCAction GitRepoVolumeSource GlusterfsPersistentVolumeSource
      GlusterfsVolumeSource HTTPGetAction HTTPHeader HostAlias HostIP HostPathVolumeSource
      ISCSIPersistentVolumeSource ISCSIVolumeSource ImageVolumeSource ImageVolumeStatus KeyToPath Lifecycle
      LifecycleHandler LimitRange LimitRangeItem LimitRangeList LimitRangeSpec LinuxContainerUser
      LoadBalancerIngress LoadBalancerStatus LocalObjectReference LocalVolumeSource ModifyVolumeStatus
      NFSVolumeSource Namespace NamespaceCondition NamespaceList NamespaceSpec NamespaceStatus Node
      NodeAddress NodeAffinity NodeAllocatableResourceClaimStatus NodeCondition NodeConfigSource
      NodeConfigStatus NodeDaemonEndpoints NodeFeatures NodeList NodeRuntimeHandler
      NodeRuntimeHandlerFeatures NodeSelector NodeSelectorRequirement NodeSelectorTerm NodeSpec NodeStatus
      NodeSwapStatus NodeSystemInfo ObjectFieldSelector ObjectReference PersistentVolume
      PersistentVolumeClaim PersistentVolumeClaimCondition PersistentVolumeClaimList
      PersistentVolumeClaimSpec PersistentVolumeClaimStatus PersistentVolumeClaimTemplate
      PersistentVolumeClaimVolumeSource PersistentVolumeList PersistentVolumeSpec PersistentVolumeStatus
      PhotonPersistentDiskVolumeSource Pod PodAffinity PodAffinityTerm PodAntiAffinity
      PodCertificateProjection PodCondition PodDNSConfig PodDNSConfigOption PodExtendedResourceClaimStatus
      PodIP PodList PodOS PodReadinessGate PodResourceClaim PodResourceClaimStatus PodSchedulingGate
      PodSchedulingGroup PodSecurityContext PodSpec PodStatus PodTemplate PodTemplateList PodTemplateSpec
      PortStatus PortworxVolumeSource PreferredSchedulingTerm Probe ProjectedVolumeSource
      QuobyteVolumeSource RBDPersistentVolumeSource RBDVolumeSource ReplicationController
      ReplicationControllerCondition ReplicationControllerList ReplicationControllerSpec
      ReplicationControllerStatus ResourceClaim=CoreV1ResourceClaim ResourceFieldSelector ResourceHealth
      ResourceQuota ResourceQuotaList ResourceQuotaSpec ResourceQuotaStatus ResourceRequirements
      ResourceStatus SELinuxOptions ScaleIOPersistentVolumeSource ScaleIOVolumeSource ScopeSelector
      ScopedResourceSelectorRequirement SeccompProfile Secret SecretEnvSource SecretKeySelector SecretList
      SecretProjection SecretReference SecretVolumeSource SecurityContext Service ServiceAccount
      ServiceAccountList ServiceAccountTokenProjection ServiceList ServicePort ServiceSpec ServiceStatus
      SessionAffinityConfig SleepAction StorageOSPersistentVolumeSource StorageOSVolumeSource Sysctl
      TCPSocketAction Taint Toleration TopologySelectorLabelRequirement TopologySelectorTerm
      TopologySpreadConstraint TypedLocalObjectReference TypedObjectReference Volume VolumeDevice
      VolumeMount VolumeMountStatus VolumeNodeAffinity VolumeProjection VolumeResourceRequirements
      VolumeStatus VsphereVirtualDiskVolumeSource WeightedPodAffinityTerm WindowsSecurityContextOptions`,
  },
  {
    prefix: 'io.k8s.api.discovery.v1',
    group: 'discovery.k8s.io',
    version: 'v1',
    types: `
      Endpoint EndpointConditions EndpointHints EndpointPort=DiscoveryV1EndpointPort EndpointSlice
      EndpointSliceList ForNode ForZone`,
  },
  {
    prefix: 'io.k8s.api.events.v1',
    group: 'events.k8s.io',
    version: 'v1',
    types: `
      Event=EventsV1Event EventList=EventsV1EventList EventSeries=EventsV1EventSeries`,
  },
  {
    prefix: 'io.k8s.api.flowcontrol.v1',
    group: 'flowcontrol.apiserver.k8s.io',
    version: 'v1',
    types: `
      ExemptPriorityLevelConfiguration FlowDistinguisherMethod FlowSchema FlowSchemaCondition FlowSchemaList
      FlowSchemaSpec FlowSchemaStatus GroupSubject LimitResponse LimitedPriorityLevelConfiguration
      NonResourcePolicyRule PolicyRulesWithSubjects PriorityLevelConfiguration
      PriorityLevelConfigurationCondition PriorityLevelConfigurationList PriorityLevelConfigurationReference
      PriorityLevelConfigurationSpec PriorityLevelConfigurationStatus QueuingConfiguration
      ResourcePolicyRule ServiceAccountSubject Subject=FlowcontrolV1Subject UserSubject`,
  },
  {
    prefix: 'io.k8s.api.networking.v1',
    group: 'networking.k8s.io',
    version: 'v1',
    types: `
      HTTPIngressPath HTTPIngressRuleValue IPAddress IPAddressList IPAddressSpec IPBlock Ingress
      IngressBackend IngressClass IngressClassList IngressClassParametersReference IngressClassSpec
      IngressList IngressLoadBalancerIngress IngressLoadBalancerStatus IngressPortStatus IngressRule
      IngressServiceBackend IngressSpec IngressStatus IngressTLS NetworkPolicy NetworkPolicyEgressRule
      NetworkPolicyIngressRule NetworkPolicyList NetworkPolicyPeer NetworkPolicyPort NetworkPolicySpec
      ParentReference ServiceBackendPort ServiceCIDR ServiceCIDRList ServiceCIDRSpec ServiceCIDRStatus`,
  },
  {
    prefix: 'io.k8s.api.node.v1',
    group: 'node.k8s.io',
    version: 'v1',
    types: `
      Overhead RuntimeClass RuntimeClassList Scheduling`,
  },
  {
    prefix: 'io.k8s.api.policy.v1',
    group: 'policy',
    version: 'v1',
    types: `
      Eviction PodDisruptionBudget PodDisruptionBudgetList PodDisruptionBudgetSpec PodDisruptionBudgetStatus`,
  },
  {
    prefix: 'io.k8s.api.rbac.v1',
    group: 'rbac.authorization.k8s.io',
    version: 'v1',
    types: `
      AggregationRule ClusterRole ClusterRoleBinding ClusterRoleBindingList ClusterRoleList PolicyRule Role
      RoleBinding RoleBindingList RoleList RoleRef Subject=RbacV1Subject`,
  },
  {
    prefix: 'io.k8s.api.resource.v1',
    group: 'resource.k8s.io',
    version: 'v1',
    types: `
      AllocatedDeviceStatus AllocationResult CELDeviceSelector CapacityRequestPolicy
      CapacityRequestPolicyRange CapacityRequirements Counter CounterSet Device
      DeviceAllocationConfiguration DeviceAllocationResult DeviceAttribute DeviceCapacity DeviceClaim
      DeviceClaimConfiguration DeviceClass DeviceClassConfiguration DeviceClassList DeviceClassSpec
      DeviceConstraint DeviceCounterConsumption DeviceRequest DeviceRequestAllocationResult DeviceSelector
      DeviceSubRequest DeviceTaint DeviceToleration ExactDeviceRequest NetworkDeviceData
      NodeAllocatableResourceMapping OpaqueDeviceConfiguration ResourceClaim=ResourceV1ResourceClaim
      ResourceClaimConsumerReference ResourceClaimList ResourceClaimSpec ResourceClaimStatus
      ResourceClaimTemplate ResourceClaimTemplateList ResourceClaimTemplateSpec ResourcePool ResourceSlice
      ResourceSliceList ResourceSliceSpec`,
  },
  {
    prefix: 'io.k8s.api.scheduling.v1',
    group: 'scheduling.k8s.io',
    version: 'v1',
    types: `
      PriorityClass PriorityClassList`,
  },
  {
    prefix: 'io.k8s.api.storage.v1',
    group: 'storage.k8s.io',
    version: 'v1',
    types: `
      CSIDriver CSIDriverList CSIDriverSpec CSINode CSINodeDriver CSINodeList CSINodeSpec CSIStorageCapacity
      CSIStorageCapacityList StorageClass StorageClassList TokenRequest=StorageV1TokenRequest
      VolumeAttachment VolumeAttachmentList VolumeAttachmentSource VolumeAttachmentSpec
      VolumeAttachmentStatus VolumeAttributesClass VolumeAttributesClassList VolumeError VolumeNodeResources`,
  },
  {
    prefix: 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1',
    group: 'apiextensions.k8s.io',
    version: 'v1',
    types: `
      CustomResourceColumnDefinition CustomResourceConversion CustomResourceDefinition
      CustomResourceDefinitionCondition CustomResourceDefinitionList CustomResourceDefinitionNames
      CustomResourceDefinitionSpec CustomResourceDefinitionStatus CustomResourceDefinitionVersion
      CustomResourceSubresourceScale CustomResourceSubresources CustomResourceValidation
      ExternalDocumentation JSONSchemaProps SelectableField ServiceReference=ApiextensionsV1ServiceReference
      ValidationRule WebhookClientConfig=ApiextensionsV1WebhookClientConfig WebhookConversion`,
  },
  {
    prefix: 'io.k8s.apimachinery.pkg.apis.meta.v1',
    group: 'meta',
    version: 'v1',
    types: `
      APIGroup APIGroupList APIResource APIResourceList APIVersions Condition DeleteOptions
      FieldSelectorRequirement GroupResource GroupVersionForDiscovery LabelSelector LabelSelectorRequirement
      ListMeta ManagedFieldsEntry ObjectMeta OwnerReference Preconditions ServerAddressByClientCIDR
      ShardInfo Status StatusCause StatusDetails WatchEvent`,
  },
  {
    prefix: 'io.k8s.kube-aggregator.pkg.apis.apiregistration.v1',
    group: 'apiregistration.k8s.io',
    version: 'v1',
    types: `
      APIService APIServiceCondition APIServiceList APIServiceSpec APIServiceStatus
      ServiceReference=ApiregistrationV1ServiceReference`,
  },
]
