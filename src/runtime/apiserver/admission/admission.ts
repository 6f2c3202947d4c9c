/** The door of admission: the plugins, in the order in which kube-apiserver runs them. */
import type { Clock } from '../../../base/clock.ts'
import { Mk8sError } from '../../../base/errors.ts'
import type { Random } from '../../../base/random.ts'
import { chosenAdmissionPlugins } from '../../../config/admission-plugins.ts'
import type { PostReview } from '../authn/remote-review.ts'
import { createEscalationCheck, type EscalationAuthorizer } from '../authz/escalation.ts'
import type { AdmissionPlugin, AdmissionRequest, ObjectReader } from '../ports.ts'
import { ADMISSION_DEFAULT, type AdmissionSettings } from './admission-configuration.ts'
import { certificateApproval, certificateSigning, certificateSubjectRestriction } from './certificates.ts'
import { nodeDeclaredFeatureValidator } from './declared-features.ts'
import {
  defaultIngressClass,
  defaultStorageClass,
  persistentVolumeClaimResize,
  storageObjectInUseProtection,
} from './default-classes.ts'
import { deviceAdminAccess } from './device-admin-access.ts'
import { eventRateLimit } from './event-rate-limit.ts'
import { imagePolicyWebhook } from './image-policy.ts'
import { limitRanger } from './limit-ranger.ts'
import { namespaceAutoProvision, namespaceExists, namespaceLifecycle } from './namespace-lifecycle.ts'
import { nodeRestriction, taintNodesByCondition } from './node-plugins.ts'
import { ownerReferencesPermissionEnforcement } from './owner-references.ts'
import { defaultTolerationSeconds, priority, runtimeClass } from './pod-defaults.ts'
import { podNodeSelector } from './pod-node-selector.ts'
import {
  alwaysPullImages,
  denyServiceExternalIps,
  extendedResourceToleration,
  limitPodHardAntiAffinityTopology,
} from './pod-restrictions.ts'
import { podSecurity } from './pod-security.ts'
import { podTolerationRestriction } from './pod-toleration-restriction.ts'
import { podTopologyLabels } from './pod-topology-labels.ts'
import { refuse } from './refuse.ts'
import { serviceAccount } from './service-account.ts'

export interface AdmissionParts {
  readonly objects: ObjectReader
  readonly authorizer: EscalationAuthorizer
  readonly clock: Clock
  readonly random: Random
  /** How long pods that say nothing else stay on a node that is gone; 300 s unless given. */
  readonly tolerationSeconds?: number
  /** Set once controllers run that take the protection finalizers away; without them nothing could be deleted. */
  readonly protectStorageInUse?: boolean
  /** Names of the plugins that are on; unless given, those that are by default. */
  readonly enabled?: ReadonlySet<string>
  readonly settings?: AdmissionSettings
  /** Of NamespaceAutoProvision, which is off without it. */
  readonly createNamespace?: (name: string) => Promise<void>
  /** Asks the server that the kubeconfig names. */
  readonly postReview?: (kubeConfigFile: string) => PostReview
  /** What the cluster's own configuration adds. */
  readonly policies?: PluginPair
  readonly webhooks?: PluginPair
}

interface PluginPair {
  readonly mutating: AdmissionPlugin
  readonly validating: AdmissionPlugin
}

const TOLERATION_SECONDS = 300

/** The plugins that are on. Throws `config/invalid` when one of them lacks its configuration. */
export function createAdmission(parts: AdmissionParts): readonly AdmissionPlugin[] {
  const { enabled = chosenAdmissionPlugins() } = parts
  return plugins.flatMap(([name, create]) =>
    name === undefined || enabled.has(name) ? (create(parts) ?? []) : [],
  )
}

type Create = (parts: AdmissionParts) => AdmissionPlugin | undefined

/** Those without a name are part of the API itself, which nobody can switch off. */
const plugins: readonly (readonly [name: string | undefined, create: Create])[] = [
  ['NamespaceAutoProvision', provisioning],
  ['NamespaceLifecycle', ({ objects }) => namespaceLifecycle(objects)],
  ['NamespaceExists', ({ objects }) => namespaceExists(objects)],
  ['LimitPodHardAntiAffinityTopology', limitPodHardAntiAffinityTopology],
  ['LimitRanger', ({ objects }) => limitRanger(objects)],
  ['ServiceAccount', serviceAccount],
  ['NodeRestriction', ({ objects }) => nodeRestriction(objects)],
  ['TaintNodesByCondition', taintNodesByCondition],
  ['AlwaysPullImages', alwaysPullImages],
  ['ImagePolicyWebhook', imagePolicy],
  ['PodSecurity', ({ objects, settings }) => podSecurity(objects, settings?.podSecurity)],
  [
    'PodNodeSelector',
    ({ objects, settings = ADMISSION_DEFAULT }) => podNodeSelector(objects, settings.nodeSelectors),
  ],
  ['Priority', ({ objects }) => priority(objects)],
  [
    'DefaultTolerationSeconds',
    ({ tolerationSeconds = TOLERATION_SECONDS }) => defaultTolerationSeconds(tolerationSeconds),
  ],
  [
    'PodTolerationRestriction',
    ({ objects, settings = ADMISSION_DEFAULT }) => podTolerationRestriction(objects, settings.tolerations),
  ],
  ['EventRateLimit', eventLimits],
  ['ExtendedResourceToleration', extendedResourceToleration],
  ['DefaultStorageClass', ({ objects }) => defaultStorageClass(objects)],
  [
    'StorageObjectInUseProtection',
    ({ protectStorageInUse }) => (protectStorageInUse === true ? storageObjectInUseProtection() : undefined),
  ],
  [
    'OwnerReferencesPermissionEnforcement',
    ({ authorizer }) => ownerReferencesPermissionEnforcement(authorizer),
  ],
  ['PersistentVolumeClaimResize', ({ objects }) => persistentVolumeClaimResize(objects)],
  ['RuntimeClass', ({ objects }) => runtimeClass(objects)],
  ['CertificateApproval', ({ authorizer }) => certificateApproval(authorizer)],
  ['CertificateSigning', ({ authorizer }) => certificateSigning(authorizer)],
  ['CertificateSubjectRestriction', certificateSubjectRestriction],
  ['DefaultIngressClass', ({ objects }) => defaultIngressClass(objects)],
  ['DenyServiceExternalIPs', denyServiceExternalIps],
  ['PodTopologyLabels', ({ objects }) => podTopologyLabels(objects)],
  [undefined, ({ objects }) => deviceAdminAccess(objects)],
  ['NodeDeclaredFeatureValidator', ({ objects }) => nodeDeclaredFeatureValidator(objects)],
  [undefined, ({ authorizer }) => createEscalationCheck(authorizer)],
  ['MutatingAdmissionPolicy', ({ policies }) => policies?.mutating],
  ['MutatingAdmissionWebhook', ({ webhooks }) => webhooks?.mutating],
  ['ValidatingAdmissionPolicy', ({ policies }) => policies?.validating],
  ['ValidatingAdmissionWebhook', ({ webhooks }) => webhooks?.validating],
  ['AlwaysDeny', alwaysDeny],
]

function provisioning({ objects, createNamespace }: AdmissionParts): AdmissionPlugin | undefined {
  return createNamespace === undefined ? undefined : namespaceAutoProvision(objects, createNamespace)
}

function imagePolicy({ settings, postReview, clock }: AdmissionParts): AdmissionPlugin {
  if (settings?.imagePolicy === undefined || postReview === undefined)
    throw unconfigured('ImagePolicyWebhook')
  const { imagePolicy: policy } = settings
  return imagePolicyWebhook({ settings: policy, post: postReview(policy.kubeConfigFile), clock })
}

function eventLimits({ settings, clock }: AdmissionParts): AdmissionPlugin {
  if (settings?.eventLimits === undefined) throw unconfigured('EventRateLimit')
  return eventRateLimit(settings.eventLimits, clock)
}

const unconfigured = (name: string) =>
  new Mk8sError('config/invalid', `the admission plugin ${name} is on and has no configuration`, {
    hint: 'add it to the AdmissionConfiguration that --admission-control-config-file names',
  })

/** As upstream has it, for trying out what a cluster does that takes nothing. */
function alwaysDeny(): AdmissionPlugin {
  const refuseAll = (request: AdmissionRequest): never => {
    throw refuse(request, 'admission control is denying all modifications')
  }
  return { name: 'AlwaysDeny', admit: refuseAll, validate: refuseAll }
}
