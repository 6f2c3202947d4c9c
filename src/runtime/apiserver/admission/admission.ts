/** The door of admission: the plugins, in the order in which kube-apiserver runs them. */
import type { Clock } from '../../../base/clock.ts'
import type { Random } from '../../../base/random.ts'
import { createEscalationCheck, type EscalationAuthorizer } from '../authz/escalation.ts'
import type { AdmissionPlugin, ObjectReader } from '../ports.ts'
import { certificateApproval, certificateSigning, certificateSubjectRestriction } from './certificates.ts'
import { nodeDeclaredFeatureValidator } from './declared-features.ts'
import {
  defaultIngressClass,
  defaultStorageClass,
  persistentVolumeClaimResize,
  storageObjectInUseProtection,
} from './default-classes.ts'
import { deviceAdminAccess } from './device-admin-access.ts'
import { limitRanger } from './limit-ranger.ts'
import { namespaceLifecycle } from './namespace-lifecycle.ts'
import { nodeRestriction, taintNodesByCondition } from './node-plugins.ts'
import { defaultTolerationSeconds, priority, runtimeClass } from './pod-defaults.ts'
import { podSecurity } from './pod-security.ts'
import type { PodSecuritySettings } from './pod-security-configuration.ts'
import { podTopologyLabels } from './pod-topology-labels.ts'
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
  readonly podSecurity?: PodSecuritySettings
  /** What the cluster's own configuration adds. */
  readonly policies?: PluginPair
  readonly webhooks?: PluginPair
}

interface PluginPair {
  readonly mutating: AdmissionPlugin
  readonly validating: AdmissionPlugin
}

const TOLERATION_SECONDS = 300

export function createAdmission(parts: AdmissionParts): readonly AdmissionPlugin[] {
  const { objects } = parts
  const configured = [parts.policies, parts.webhooks]
  return [
    namespaceLifecycle(objects),
    limitRanger(objects),
    serviceAccount(parts),
    nodeRestriction(objects),
    taintNodesByCondition(),
    podSecurity(objects, parts.podSecurity),
    priority(objects),
    defaultTolerationSeconds(parts.tolerationSeconds ?? TOLERATION_SECONDS),
    defaultStorageClass(objects),
    ...(parts.protectStorageInUse === true ? [storageObjectInUseProtection()] : []),
    persistentVolumeClaimResize(objects),
    runtimeClass(objects),
    certificateApproval(parts.authorizer),
    certificateSigning(parts.authorizer),
    certificateSubjectRestriction(),
    defaultIngressClass(objects),
    podTopologyLabels(objects),
    deviceAdminAccess(objects),
    nodeDeclaredFeatureValidator(objects),
    createEscalationCheck(parts.authorizer),
    ...configured.flatMap(pair => (pair === undefined ? [] : [pair.mutating])),
    ...configured.flatMap(pair => (pair === undefined ? [] : [pair.validating])),
  ]
}
