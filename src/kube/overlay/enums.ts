/** The closed sets of strings: per type and field the values, separated by spaces, in the order messages list them. */
type Enums = Readonly<Record<string, Readonly<Record<string, string>>>>

const core: Enums = {
  Container: {
    imagePullPolicy: 'Always IfNotPresent Never',
    terminationMessagePolicy: 'FallbackToLogsOnError File',
  },
  ContainerPort: { protocol: 'SCTP TCP UDP' },
  EndpointPort: { protocol: 'SCTP TCP UDP' },
  HTTPGetAction: { scheme: 'HTTP HTTPS' },
  PodSpec: {
    dnsPolicy: 'ClusterFirst ClusterFirstWithHostNet Default None',
    preemptionPolicy: 'Never PreemptLowerPriority',
    restartPolicy: 'Always Never OnFailure',
  },
  ServicePort: { protocol: 'SCTP TCP UDP' },
  ServiceSpec: {
    externalTrafficPolicy: 'Cluster Local',
    internalTrafficPolicy: 'Cluster Local',
    ipFamilyPolicy: 'PreferDualStack RequireDualStack SingleStack',
    sessionAffinity: 'ClientIP None',
    type: 'ClusterIP ExternalName LoadBalancer NodePort',
  },
  Taint: { effect: 'NoExecute NoSchedule PreferNoSchedule' },
}

export const enums: Enums = {
  ...Object.fromEntries(Object.entries(core).map(([name, value]) => [`io.k8s.api.core.v1.${name}`, value])),
  'io.k8s.api.apps.v1.DaemonSetUpdateStrategy': { type: 'OnDelete RollingUpdate' },
  'io.k8s.api.apps.v1.DeploymentStrategy': { type: 'Recreate RollingUpdate' },
  'io.k8s.api.apps.v1.StatefulSetSpec': { podManagementPolicy: 'OrderedReady Parallel' },
  'io.k8s.api.apps.v1.StatefulSetUpdateStrategy': { type: 'OnDelete RollingUpdate' },
  'io.k8s.api.batch.v1.CronJobSpec': { concurrencyPolicy: 'Allow Forbid Replace' },
  'io.k8s.api.batch.v1.JobSpec': { completionMode: 'Indexed NonIndexed' },
  'io.k8s.api.networking.v1.NetworkPolicyPort': { protocol: 'SCTP TCP UDP' },
  'io.k8s.api.storage.v1.StorageClass': { volumeBindingMode: 'Immediate WaitForFirstConsumer' },
}
