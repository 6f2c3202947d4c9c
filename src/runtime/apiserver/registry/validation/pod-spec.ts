/** A pod spec, in a pod or in a template. */
import { isIP } from 'node:net'
import { forbidden, invalid, required } from '../../../../kube/field-error.ts'
import { checkDns1123Label, checkDns1123Subdomain, checkQualifiedName } from '../../../../kube/names.ts'
import type { PodSpec, PodTemplateSpec } from '../../../../kube/types.ts'
import { at } from '../support.ts'
import { checkAllContainers, checkIds } from './containers.ts'
import {
  checkAnnotations,
  checkEach,
  checkLabels,
  checkOneOf,
  isEmptySelector,
  type LabelSelectorLike,
  type Problems,
  selects,
} from './meta.ts'
import { checkResources } from './resources.ts'
import { checkAffinity, checkSpreading, checkTolerations } from './scheduling.ts'
import { checkVolumes } from './volumes.ts'

const RESTART_POLICIES = ['Always', 'OnFailure', 'Never']
const DNS_POLICIES = ['ClusterFirst', 'ClusterFirstWithHostNet', 'Default', 'None']
/** What an absent spec is after its defaults. */
const EMPTY_SPEC: PodSpec = { containers: [], restartPolicy: 'Always', dnsPolicy: 'ClusterFirst' }
const SECONDS_MAX = 2 ** 31 - 1

export function checkPodSpec(out: Problems, path: string, spec: PodSpec): void {
  const volumes = checkVolumes(out, `${path}.volumes`, spec.volumes)
  checkAllContainers(out, path, { spec, volumes })
  checkRunning(out, path, spec)
  checkIdentity(out, path, spec)
  checkLabels(out, `${path}.nodeSelector`, spec.nodeSelector)
  checkAffinity(out, `${path}.affinity`, spec.affinity)
  checkTolerations(out, `${path}.tolerations`, spec.tolerations ?? [])
  checkSpreading(out, `${path}.topologySpreadConstraints`, spec.topologySpreadConstraints)
  checkResources(out, `${path}.resources`, spec.resources)
  checkPodSecurity(out, path, spec)
  for (const [index, gate] of (spec.schedulingGates ?? []).entries()) {
    const field = at(`${path}.schedulingGates`, index)
    checkEach(out, field, gate.name ?? '', checkQualifiedName(gate.name ?? ''))
  }
  for (const [index, gate] of (spec.readinessGates ?? []).entries()) {
    const field = `${at(`${path}.readinessGates`, index)}.conditionType`
    checkEach(out, field, gate.conditionType ?? '', checkQualifiedName(gate.conditionType ?? ''))
  }
}

function checkRunning(out: Problems, path: string, spec: PodSpec): void {
  if (!spec.restartPolicy) out.push(required(`${path}.restartPolicy`))
  else checkOneOf(out, `${path}.restartPolicy`, spec.restartPolicy, RESTART_POLICIES)
  if (!spec.dnsPolicy) out.push(required(`${path}.dnsPolicy`))
  else checkOneOf(out, `${path}.dnsPolicy`, spec.dnsPolicy, DNS_POLICIES)
  if (spec.dnsPolicy === 'None' && (spec.dnsConfig?.nameservers ?? []).length === 0) {
    const detail = 'must provide at least one DNS nameserver when `dnsPolicy` is None'
    out.push(required(`${path}.dnsConfig.nameservers`, detail))
  }
  for (const [index, server] of (spec.dnsConfig?.nameservers ?? []).entries()) {
    if (isIP(server) > 0) continue
    out.push(invalid(at(`${path}.dnsConfig.nameservers`, index), server, 'must be valid IP address'))
  }
  const deadline = spec.activeDeadlineSeconds
  if (deadline !== undefined && (deadline < 1 || deadline > SECONDS_MAX)) {
    const detail = `must be between 1 and ${SECONDS_MAX}, inclusive`
    out.push(invalid(`${path}.activeDeadlineSeconds`, deadline, detail))
  }
}

function checkIdentity(out: Problems, path: string, spec: PodSpec): void {
  for (const name of ['serviceAccountName', 'nodeName', 'priorityClassName', 'runtimeClassName'] as const) {
    const value = spec[name]
    if (value) checkEach(out, `${path}.${name}`, value, checkDns1123Subdomain(value))
  }
  for (const name of ['hostname', 'subdomain'] as const) {
    const value = spec[name]
    if (value) checkEach(out, `${path}.${name}`, value, checkDns1123Label(value))
  }
  for (const [index, secret] of (spec.imagePullSecrets ?? []).entries()) {
    if (!secret.name) out.push(required(`${at(`${path}.imagePullSecrets`, index)}.name`))
  }
  for (const [index, alias] of (spec.hostAliases ?? []).entries()) {
    const field = at(`${path}.hostAliases`, index)
    if (isIP(alias.ip ?? '') === 0) out.push(invalid(`${field}.ip`, alias.ip, 'must be valid IP address'))
    for (const [position, name] of (alias.hostnames ?? []).entries()) {
      checkEach(out, at(`${field}.hostnames`, position), name, checkDns1123Subdomain(name))
    }
  }
}

function checkPodSecurity(out: Problems, path: string, spec: PodSpec): void {
  const context = spec.securityContext
  if (context) checkIds(out, `${path}.securityContext`, context)
  if (spec.shareProcessNamespace && spec.hostPID) {
    const detail = 'ShareProcessNamespace and HostPID cannot both be enabled'
    out.push(invalid(`${path}.securityContext.shareProcessNamespace`, true, detail))
  }
  if (spec.os) checkOneOf(out, `${path}.os`, spec.os.name, ['linux', 'windows'])
}

/** A template's metadata and spec, without the rules of a particular workload. */
export function checkTemplate(out: Problems, path: string, template: PodTemplateSpec | undefined): void {
  checkLabels(out, `${path}.labels`, template?.metadata?.labels)
  checkAnnotations(out, `${path}.annotations`, template?.metadata?.annotations)
  if ((template?.spec?.ephemeralContainers ?? []).length > 0) {
    const detail = 'ephemeral containers not allowed in pod template'
    out.push(forbidden(`${path}.spec.ephemeralContainers`, detail))
  }
  checkPodSpec(out, `${path}.spec`, template?.spec ?? EMPTY_SPEC)
}

interface Workload {
  readonly template: PodTemplateSpec | undefined
  readonly selector: LabelSelectorLike | undefined
  /** As the message about deadlines names it. */
  readonly kind: string
}

/** A workload whose pods run for ever: template fits the selector, restartPolicy is Always. */
export function checkRunningTemplate(out: Problems, path: string, workload: Workload): void {
  const { template, kind } = workload
  checkTemplateFits(out, path, workload)
  checkTemplate(out, path, template)
  const policy = template?.spec?.restartPolicy
  if (policy !== undefined && policy !== 'Always') {
    checkOneOf(out, `${path}.spec.restartPolicy`, policy, ['Always'])
  }
  if (template?.spec?.activeDeadlineSeconds !== undefined) {
    const detail = `activeDeadlineSeconds in ${kind} is not Supported`
    out.push(forbidden(`${path}.spec.activeDeadlineSeconds`, detail))
  }
}

/** An absent selector selects nothing, so no labels fit it; an empty one is reported elsewhere. */
export function checkTemplateFits(out: Problems, path: string, { template, selector }: Workload): void {
  const labels = template?.metadata?.labels
  if (selector && (isEmptySelector(selector) || selects(selector, labels ?? {}))) return
  out.push(invalid(`${path}.metadata.labels`, labels, '`selector` does not match template `labels`'))
}
