/**
 * How lists and maps of the groups other than core merge, per type and field.
 * One line per type: `Type: field fact fact; field fact`.
 * Facts: `atomic`, `set`, `map(keys)` are list types of server-side apply, `map-atomic` and `map-granular` map
 * types (`*` for the type itself), `merge(key)`, `merge`, `retainKeys`, `merge+retainKeys(key)` patch strategies
 * with their merge key. An indented line goes on from the one before.
 */
export const groupMerging: Readonly<Record<string, string>> = {
  'io.k8s.api.admissionregistration.v1': `
MatchResources: * map-atomic; excludeResourceRules atomic; resourceRules atomic
MutatingAdmissionPolicySpec: matchConditions map(name) merge(name); mutations atomic; variables atomic
MutatingWebhook: admissionReviewVersions atomic; matchConditions map(name) merge(name); rules atomic
MutatingWebhookConfiguration: webhooks map(name) merge(name)
NamedRuleWithOperations: * map-atomic; apiGroups atomic; apiVersions atomic; operations atomic;
  resourceNames atomic; resources atomic
ParamKind: * map-atomic
ParamRef: * map-atomic
RuleWithOperations: apiGroups atomic; apiVersions atomic; operations atomic; resources atomic
TypeChecking: expressionWarnings atomic
ValidatingAdmissionPolicyBindingSpec: validationActions set
ValidatingAdmissionPolicySpec: auditAnnotations atomic; matchConditions map(name) merge(name); validations
  atomic; variables map(name) merge(name)
ValidatingAdmissionPolicyStatus: conditions map(type)
ValidatingWebhook: admissionReviewVersions atomic; matchConditions map(name) merge(name); rules atomic
ValidatingWebhookConfiguration: webhooks map(name) merge(name)
Variable: * map-atomic`,
  'io.k8s.api.apps.v1': `
DaemonSetStatus: conditions map(type) merge(type)
DeploymentSpec: strategy retainKeys
DeploymentStatus: conditions map(type) merge(type)
ReplicaSetStatus: conditions map(type) merge(type)
StatefulSetSpec: volumeClaimTemplates atomic
StatefulSetStatus: conditions map(type) merge(type)`,
  'io.k8s.api.authentication.v1': `
TokenRequestSpec: audiences atomic
TokenReviewSpec: audiences atomic
TokenReviewStatus: audiences atomic
UserInfo: groups atomic`,
  'io.k8s.api.authorization.v1': `
FieldSelectorAttributes: requirements atomic
LabelSelectorAttributes: requirements atomic
NonResourceRule: nonResourceURLs atomic; verbs atomic
ResourceRule: apiGroups atomic; resourceNames atomic; resources atomic; verbs atomic
SubjectAccessReviewSpec: groups atomic
SubjectRulesReviewStatus: nonResourceRules atomic; resourceRules atomic`,
  'io.k8s.api.autoscaling.v1': `
CrossVersionObjectReference: * map-atomic`,
  'io.k8s.api.autoscaling.v2': `
HPAScalingRules: policies atomic
HorizontalPodAutoscalerSpec: metrics atomic
HorizontalPodAutoscalerStatus: conditions map(type) merge(type); currentMetrics atomic`,
  'io.k8s.api.batch.v1': `
CronJobStatus: active atomic
JobStatus: conditions atomic merge(type)
PodFailurePolicy: rules atomic
PodFailurePolicyOnExitCodesRequirement: values set
PodFailurePolicyRule: onPodConditions atomic
SuccessPolicy: rules atomic
UncountedTerminatedPods: failed set; succeeded set`,
  'io.k8s.api.certificates.v1': `
CertificateSigningRequestSpec: groups atomic; usages atomic
CertificateSigningRequestStatus: conditions map(type)`,
  'io.k8s.api.discovery.v1': `
Endpoint: addresses set
EndpointHints: forNodes atomic; forZones atomic
EndpointPort: * map-atomic
EndpointSlice: endpoints atomic; ports atomic`,
  'io.k8s.api.flowcontrol.v1': `
FlowSchemaSpec: rules atomic
FlowSchemaStatus: conditions map(type) merge(type)
NonResourcePolicyRule: nonResourceURLs set; verbs set
PolicyRulesWithSubjects: nonResourceRules atomic; resourceRules atomic; subjects atomic
PriorityLevelConfigurationStatus: conditions map(type) merge(type)
ResourcePolicyRule: apiGroups set; namespaces set; resources set; verbs set`,
  'io.k8s.api.networking.v1': `
HTTPIngressRuleValue: paths atomic
IPBlock: except atomic
IngressLoadBalancerIngress: ports atomic
IngressLoadBalancerStatus: ingress atomic
IngressSpec: rules atomic; tls atomic
IngressTLS: hosts atomic
NetworkPolicyEgressRule: ports atomic; to atomic
NetworkPolicyIngressRule: from atomic; ports atomic
NetworkPolicySpec: egress atomic; ingress atomic; policyTypes atomic
ServiceBackendPort: * map-atomic
ServiceCIDRSpec: cidrs atomic
ServiceCIDRStatus: conditions map(type) merge(type)`,
  'io.k8s.api.node.v1': `
Scheduling: nodeSelector map-atomic; tolerations atomic`,
  'io.k8s.api.policy.v1': `
PodDisruptionBudgetSpec: selector replace
PodDisruptionBudgetStatus: conditions map(type) merge(type)`,
  'io.k8s.api.rbac.v1': `
AggregationRule: clusterRoleSelectors atomic
ClusterRole: rules atomic
ClusterRoleBinding: subjects atomic
PolicyRule: apiGroups atomic; nonResourceURLs atomic; resourceNames atomic; resources atomic; verbs atomic
Role: rules atomic
RoleBinding: subjects atomic
RoleRef: * map-atomic
Subject: * map-atomic`,
  'io.k8s.api.resource.v1': `
AllocatedDeviceStatus: conditions map(type)
CapacityRequestPolicy: validValues atomic
Device: bindingConditions atomic; bindingFailureConditions atomic; consumesCounters atomic; taints atomic
DeviceAllocationConfiguration: requests atomic
DeviceAllocationResult: config atomic; results atomic
DeviceAttribute: bools atomic; ints atomic; strings atomic; versions atomic
DeviceClaim: config atomic; constraints atomic; requests atomic
DeviceClaimConfiguration: requests atomic
DeviceClassSpec: config atomic; selectors atomic
DeviceConstraint: requests atomic
DeviceRequest: firstAvailable atomic
DeviceRequestAllocationResult: bindingConditions atomic; bindingFailureConditions atomic; tolerations atomic
DeviceSubRequest: selectors atomic; tolerations atomic
ExactDeviceRequest: selectors atomic; tolerations atomic
NetworkDeviceData: ips atomic
ResourceClaimStatus: devices map(driver,device,pool,shareID); reservedFor map(uid) merge(uid)
ResourceSliceSpec: devices atomic; sharedCounters atomic`,
  'io.k8s.api.storage.v1': `
CSIDriverSpec: tokenRequests atomic; volumeLifecycleModes set
CSINodeDriver: topologyKeys atomic
CSINodeSpec: drivers map(name) merge(name)
StorageClass: allowedTopologies atomic; mountOptions atomic`,
  'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1': `
CustomResourceDefinitionNames: categories atomic; shortNames atomic
CustomResourceDefinitionSpec: versions atomic
CustomResourceDefinitionStatus: conditions map(type); storedVersions atomic
CustomResourceDefinitionVersion: additionalPrinterColumns atomic; selectableFields atomic
JSONSchemaProps: allOf atomic; anyOf atomic; enum atomic; oneOf atomic; required atomic;
  x-kubernetes-list-map-keys atomic; x-kubernetes-validations map(rule) merge(rule)
WebhookConversion: conversionReviewVersions atomic`,
  'io.k8s.apimachinery.pkg.apis.meta.v1': `
APIGroup: serverAddressByClientCIDRs atomic; versions atomic
APIGroupList: groups atomic
APIResource: categories atomic; shortNames atomic
APIResourceList: resources atomic
APIVersions: serverAddressByClientCIDRs atomic; versions atomic
DeleteOptions: dryRun atomic
FieldSelectorRequirement: values atomic
LabelSelector: * map-atomic; matchExpressions atomic
LabelSelectorRequirement: values atomic
ObjectMeta: finalizers set merge; managedFields atomic; ownerReferences map(uid) merge(uid)
OwnerReference: * map-atomic
StatusDetails: causes atomic`,
  'io.k8s.kube-aggregator.pkg.apis.apiregistration.v1': `
APIServiceSpec: caBundle atomic
APIServiceStatus: conditions map(type) merge(type)`,
}
