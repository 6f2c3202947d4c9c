/** A pod spec, in a pod or in a template. */
import { duplicate, forbidden, invalid, required, tooLong } from '../../../../kube/field-error.ts'
import { checkDns1123Label, checkDns1123Subdomain, checkQualifiedName } from '../../../../kube/names.ts'
import type { PodSpec, PodTemplateSpec } from '../../../../kube/types.ts'
import { at } from '../support.ts'
import { ipProblems } from './addresses.ts'
import { checkAllContainers, checkHostNetworkPorts } from './containers.ts'
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
import { checkHostProcess, checkHostUsers, checkOs } from './pod-os.ts'
import { checkOverhead, checkPodClaims, checkPodResources } from './pod-resources.ts'
import { checkAffinity, checkSpreading, checkTolerations } from './scheduling.ts'
import { checkPodSecurity } from './security.ts'
import { checkVolumes } from './volumes.ts'

const RESTART_POLICIES = ['Always', 'OnFailure', 'Never']
const DNS_POLICIES = ['ClusterFirstWithHostNet', 'ClusterFirst', 'Default', 'None']
const NAMESERVERS_MAX = 3
const SEARCHES_MAX = 32
const SEARCHES_LENGTH_MAX = 2048
const HOSTNAME_MAX = 64
const UNDERSCORED = /^[a-z0-9_]([-_a-z0-9]*[a-z0-9])?(\.[a-z0-9_]([-_a-z0-9]*[a-z0-9])?)*$/
const UNDERSCORED_PROBLEM =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-', '_' or '.', and must " +
  "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is " +
  "'[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')"
/** What an absent spec is after its defaults. */
const EMPTY_SPEC: PodSpec = { containers: [], restartPolicy: 'Always', dnsPolicy: 'ClusterFirst' }
const SECONDS_MAX = 2 ** 31 - 1

export function checkPodSpec(out: Problems, path: string, spec: PodSpec): void {
  const volumes = checkVolumes(out, `${path}.volumes`, spec.volumes)
  const claims = checkPodClaims(out, `${path}.resourceClaims`, spec.resourceClaims)
  checkAllContainers(out, path, { spec, volumes, claims })
  checkPodResources(out, path, spec)
  checkHostNetworkPorts(out, path, spec)
  checkPolicies(out, path, spec)
  checkLabels(out, `${path}.nodeSelector`, spec.nodeSelector)
  checkPodSecurity(out, `${path}.securityContext`, spec)
  checkAffinity(out, `${path}.affinity`, spec.affinity)
  checkDnsConfig(out, `${path}.dnsConfig`, spec)
  checkGates(out, path, spec)
  checkSpreading(out, `${path}.topologySpreadConstraints`, spec.topologySpreadConstraints)
  checkHostProcess(out, path, spec)
  checkHostUsers(out, path, spec)
  checkIdentity(out, path, spec)
  checkTolerations(out, `${path}.tolerations`, spec.tolerations ?? [])
  checkHostAliases(out, `${path}.hostAliases`, spec.hostAliases)
  checkClasses(out, path, spec)
  checkOverhead(out, path, spec.overhead)
  checkOs(out, path, spec)
}

function checkPolicies(out: Problems, path: string, spec: PodSpec): void {
  if (!spec.restartPolicy) out.push(required(`${path}.restartPolicy`))
  else checkOneOf(out, `${path}.restartPolicy`, spec.restartPolicy, RESTART_POLICIES)
  if (!spec.dnsPolicy) out.push(required(`${path}.dnsPolicy`))
  else checkOneOf(out, `${path}.dnsPolicy`, spec.dnsPolicy, DNS_POLICIES)
}

function checkDnsConfig(out: Problems, field: string, { dnsPolicy, dnsConfig }: PodSpec): void {
  if (dnsPolicy === 'None' && !dnsConfig) {
    out.push(required(field, 'must provide `dnsConfig` when `dnsPolicy` is None'))
  }
  const { nameservers = [], searches = [], options = [] } = dnsConfig ?? {}
  if (dnsPolicy === 'None' && dnsConfig && nameservers.length === 0) {
    const detail = 'must provide at least one DNS nameserver when `dnsPolicy` is None'
    out.push(required(`${field}.nameservers`, detail))
    return
  }
  if (nameservers.length > NAMESERVERS_MAX) {
    const detail = `must not have more than ${NAMESERVERS_MAX} nameservers`
    out.push(invalid(`${field}.nameservers`, nameservers, detail))
  }
  for (const [index, server] of nameservers.entries()) {
    checkEach(out, at(`${field}.nameservers`, index), server, ipProblems(server))
  }
  if (searches.length > SEARCHES_MAX) {
    const detail = `must not have more than ${SEARCHES_MAX} search paths`
    out.push(invalid(`${field}.searches`, searches, detail))
  }
  if (searches.join(' ').length > SEARCHES_LENGTH_MAX) {
    const limit = `must not have more than ${SEARCHES_LENGTH_MAX} characters (including spaces)`
    out.push(invalid(`${field}.searches`, searches, `${limit} in the search list`))
  }
  for (const [index, search] of searches.entries()) checkSearch(out, at(`${field}.searches`, index), search)
  for (const [index, option] of options.entries()) {
    if (!option.name) out.push(required(at(`${field}.options`, index), 'must not be empty'))
  }
}

/** A domain in which labels may have underscores; `.` alone is the root. */
function checkSearch(out: Problems, field: string, search: string): void {
  if (search === '.') return
  const name = search.replace(/\.$/, '')
  const problems = checkDns1123Subdomain(name)
  if (problems.length === 0 || UNDERSCORED.test(name)) return
  checkEach(out, field, name, [UNDERSCORED_PROBLEM])
}

function checkGates(out: Problems, path: string, spec: PodSpec): void {
  for (const [index, gate] of (spec.readinessGates ?? []).entries()) {
    const field = `${at(`${path}.readinessGates`, index)}.conditionType`
    checkEach(out, field, gate.conditionType ?? '', checkQualifiedName(gate.conditionType ?? ''))
  }
  const seen = new Set<string>()
  for (const [index, { name = '' }] of (spec.schedulingGates ?? []).entries()) {
    const field = at(`${path}.schedulingGates`, index)
    checkEach(out, field, name, checkQualifiedName(name))
    if (seen.has(name)) out.push(duplicate(field, name))
    seen.add(name)
  }
}

function checkIdentity(out: Problems, path: string, spec: PodSpec): void {
  for (const name of ['serviceAccountName', 'nodeName'] as const) {
    const value = spec[name]
    if (value) checkEach(out, `${path}.${name}`, value, checkDns1123Subdomain(value))
  }
  const deadline = spec.activeDeadlineSeconds
  if (deadline !== undefined && (deadline < 1 || deadline > SECONDS_MAX)) {
    const detail = `must be between 1 and ${SECONDS_MAX}, inclusive`
    out.push(invalid(`${path}.activeDeadlineSeconds`, deadline, detail))
  }
  for (const name of ['hostname', 'subdomain'] as const) {
    const value = spec[name]
    if (value) checkEach(out, `${path}.${name}`, value, checkDns1123Label(value))
  }
  checkHostnameOverride(out, path, spec)
}

function checkHostnameOverride(out: Problems, path: string, spec: PodSpec): void {
  const { hostnameOverride: name } = spec
  if (name === undefined) return
  const field = `${path}.hostnameOverride`
  checkEach(out, field, name, checkDns1123Subdomain(name))
  if (name.length > HOSTNAME_MAX) out.push(tooLong(field, HOSTNAME_MAX))
  if (spec.hostNetwork) out.push(forbidden(field, 'may not be set when hostNetwork is true'))
  if (spec.setHostnameAsFQDN) out.push(forbidden(field, 'may not be set when setHostnameAsFQDN is true'))
}

function checkHostAliases(out: Problems, list: string, aliases: PodSpec['hostAliases']): void {
  for (const [index, alias] of (aliases ?? []).entries()) {
    const field = at(list, index)
    checkEach(out, `${field}.ip`, alias.ip ?? '', ipProblems(alias.ip ?? ''))
    for (const [position, name] of (alias.hostnames ?? []).entries()) {
      checkEach(out, at(`${field}.hostnames`, position), name, checkDns1123Subdomain(name))
    }
  }
}

function checkClasses(out: Problems, path: string, spec: PodSpec): void {
  for (const name of ['priorityClassName', 'runtimeClassName'] as const) {
    const value = spec[name]
    if (value) checkEach(out, `${path}.${name}`, value, checkDns1123Subdomain(value))
  }
  const { preemptionPolicy: policy } = spec
  if (policy === undefined) return
  checkOneOf(out, `${path}.preemptionPolicy`, policy, ['PreemptLowerPriority', 'Never'])
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
