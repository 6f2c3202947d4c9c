/** PodSecurity: a namespace's labels say which Pod Security Standard its pods must meet, and who is told of it. */
import type { KubeObject } from '../../../kube/object.ts'
import { invalid } from '../../../kube/status.ts'
import type { Pod, PodSpec } from '../../../kube/types.ts'
import type { AdmissionPlugin, AdmissionRequest, ObjectReader } from '../ports.ts'
import { podViolations, type Violation } from './pod-security-checks.ts'
import { POD_SECURITY_DEFAULT, type PodSecuritySettings } from './pod-security-configuration.ts'
import {
  isStricter,
  type LevelVersion,
  minorOf,
  NONE,
  type PodSecurityPolicy,
  PREFIX,
  policyOf,
  summaryOf,
  textOf,
} from './pod-security-policy.ts'
import { nameOf, refuse } from './refuse.ts'

/** Kinds with a template of pods, and where it lies. */
const TEMPLATES: Readonly<Record<string, readonly string[]>> = {
  'replicationcontrollers.': ['spec', 'template'],
  'podtemplates.': ['template'],
  'replicasets.apps': ['spec', 'template'],
  'deployments.apps': ['spec', 'template'],
  'statefulsets.apps': ['spec', 'template'],
  'daemonsets.apps': ['spec', 'template'],
  'jobs.batch': ['spec', 'template'],
  'cronjobs.batch': ['spec', 'jobTemplate', 'spec', 'template'],
}
const POD_SUBRESOURCES: ReadonlySet<string> = new Set(['', 'ephemeralcontainers', 'resize'])
/** How many pods of a namespace are looked at when its labels become stricter. */
const CHECKED_PODS_MAX = 3_000

export function podSecurity(
  objects: ObjectReader,
  { defaults, exemptions } = POD_SECURITY_DEFAULT,
): AdmissionPlugin {
  const rules: Rules = {
    objects,
    exemptions,
    read: labels => policyOf(labels, defaults),
    defaultSummary: summaryOf(defaults),
  }
  return {
    name: 'PodSecurity',
    validate(request) {
      const { operation, object, resource, subresource } = request
      if (object === null || (operation !== 'CREATE' && operation !== 'UPDATE')) return
      const path = TEMPLATES[`${resource.resource}.${resource.group}`]
      if (path !== undefined && subresource === '') checkTemplate(request, rules, path)
      else if (resource.group !== '') return
      else if (resource.resource === 'namespaces' && subresource === '') checkNamespace(request, rules)
      else if (resource.resource === 'pods' && POD_SUBRESOURCES.has(subresource)) checkPod(request, rules)
    },
  }
}

interface Rules extends Pick<PodSecuritySettings, 'exemptions'> {
  readonly objects: ObjectReader
  readonly read: (labels: Readonly<Record<string, string>> | undefined) => PodSecurityPolicy
  readonly defaultSummary: string
}

const violationsOf = ({ level, version }: LevelVersion, spec: PodSpec) =>
  podViolations(level, spec, minorOf(version))

type Judge = (wanted: LevelVersion) => readonly Violation[]

/** Modes mostly ask for the same level, which is then judged once. */
function judgeOf(spec: PodSpec): Judge {
  const known = new Map<string, readonly Violation[]>()
  return wanted => known.getOrInsertComputed(textOf(wanted), () => violationsOf(wanted, spec))
}

const detailsOf = (violations: readonly Violation[]): string =>
  violations.map(({ reason, detail }) => `${reason} (${detail})`).join(', ')

const namespacePolicy = ({ objects, read }: Rules, namespace: string): PodSecurityPolicy =>
  read(objects.get('', 'namespaces', '', namespace)?.metadata.labels)

/** Whether the request is spared, and by what, which the audit log is told. */
function isExempt(request: AdmissionRequest, { exemptions }: Rules): boolean {
  if (exemptions.namespaces.has(request.namespace)) return exempted(request, 'namespace')
  return exemptions.usernames.has(request.user.username) && exempted(request, 'user')
}

const isOfExemptClass = (request: AdmissionRequest, { exemptions }: Rules, spec: PodSpec): boolean =>
  exemptions.runtimeClasses.has(spec.runtimeClassName ?? '') && exempted(request, 'runtimeClass')

function exempted(request: AdmissionRequest, by: string): true {
  request.annotate(`${PREFIX}exempt`, by)
  return true
}

function checkPod(request: AdmissionRequest, rules: Rules): void {
  const spec = request.object?.['spec'] as PodSpec | undefined
  const before = request.oldObject?.['spec'] as PodSpec | undefined
  if (spec === undefined || isExempt(request, rules)) return
  const policy = namespacePolicy(rules, request.namespace)
  if ([policy.enforce, policy.audit, policy.warn].every(({ level }) => level === 'privileged')) {
    request.annotate(`${PREFIX}enforce-policy`, textOf(NONE))
    return
  }
  if (before !== undefined && !isSignificant(spec, before)) return
  if (isOfExemptClass(request, rules, spec)) return
  request.annotate(`${PREFIX}enforce-policy`, textOf(policy.enforce))
  const judge = judgeOf(spec)
  const violations = judge(policy.enforce)
  audit(request, policy, judge)
  if (violations.length > 0)
    throw refuse(
      request,
      `violates PodSecurity ${JSON.stringify(textOf(policy.enforce))}: ${detailsOf(violations)}`,
    )
  warn(request, policy, judge)
}

/** What makes pods is never refused: its pods are. */
function checkTemplate(request: AdmissionRequest, rules: Rules, path: readonly string[]): void {
  if (isExempt(request, rules)) return
  const policy = namespacePolicy(rules, request.namespace)
  if ([policy.audit, policy.warn].every(({ level }) => level === 'privileged')) return
  let value: unknown = request.object
  for (const key of path) value = (value as Record<string, unknown> | undefined)?.[key]
  const spec = (value as { readonly spec?: PodSpec } | undefined)?.spec
  if (spec?.containers === undefined || isOfExemptClass(request, rules, spec)) return
  const judge = judgeOf(spec)
  audit(request, policy, judge)
  warn(request, policy, judge)
}

function audit(request: AdmissionRequest, policy: PodSecurityPolicy, judge: Judge): void {
  const [problem] = policy.problems
  if (problem !== undefined)
    request.annotate(`${PREFIX}error`, `Failed to parse policy: ${problem.field}: ${problem.message}`)
  const violations = judge(policy.audit)
  if (violations.length > 0) request.annotate(`${PREFIX}audit-violations`, would(policy.audit, violations))
}

function warn(request: AdmissionRequest, policy: PodSecurityPolicy, judge: Judge): void {
  const violations = judge(policy.warn)
  if (violations.length > 0) request.warn(would(policy.warn, violations))
}

const would = (wanted: LevelVersion, violations: readonly Violation[]): string =>
  `would violate PodSecurity ${JSON.stringify(textOf(wanted))}: ${detailsOf(violations)}`

/** Of what may change in a pod only images and ephemeral containers matter. */
function isSignificant(next: PodSpec, before: PodSpec): boolean {
  const images = ({ containers, initContainers = [], ephemeralContainers = [] }: PodSpec) =>
    JSON.stringify(
      [containers, initContainers, ephemeralContainers].map(all => all.map(({ image }) => image)),
    )
  return images(next) !== images(before)
}

function checkNamespace(request: AdmissionRequest, rules: Rules): void {
  const policy = rules.read(request.object?.metadata.labels)
  const before = request.oldObject === null ? null : rules.read(request.oldObject.metadata.labels)
  const isOld = before !== null && JSON.stringify(before.problems) === JSON.stringify(policy.problems)
  if (policy.problems.length > 0 && !isOld)
    throw invalid({ group: '', kind: 'Namespace' }, nameOf(request), policy.problems)
  const namespace = nameOf(request)
  if (before !== null && !isStricter(policy.enforce, before.enforce)) return
  if (rules.exemptions.namespaces.has(namespace)) {
    const summary = summaryOf(policy)
    if (summary !== '' && summary !== rules.defaultSummary)
      request.warn(
        `namespace ${JSON.stringify(namespace)} is exempt from Pod Security, and the policy (${summary}) will be ignored`,
      )
    return
  }
  if (before === null) return
  for (const text of podWarnings(rules.objects.list('', 'pods', namespace), namespace, policy.enforce))
    request.warn(text)
}

/** Pods that are there and would not be let in any more, told together where they lack the same. */
function podWarnings(
  pods: readonly KubeObject[],
  namespace: string,
  enforce: LevelVersion,
): readonly string[] {
  const named = new Map<string, string[]>()
  for (const pod of pods.slice(0, CHECKED_PODS_MAX)) {
    const violations = violationsOf(enforce, (pod as unknown as Pod).spec ?? { containers: [] })
    if (violations.length === 0) continue
    const reasons = violations.map(({ reason }) => reason).join(', ')
    named.set(reasons, [...(named.get(reasons) ?? []), pod.metadata.name ?? ''])
  }
  const partly = `new PodSecurity enforce level only checked against the first ${CHECKED_PODS_MAX} of ${pods.length} existing pods`
  const level = JSON.stringify(textOf(enforce))
  const head = `existing pods in namespace ${JSON.stringify(namespace)} violate the new PodSecurity enforce level ${level}`
  return [
    ...(pods.length > CHECKED_PODS_MAX ? [partly] : []),
    ...(named.size > 0 ? [head] : []),
    ...[...named].map(([reasons, names]) => `${together(names.sort())}: ${reasons}`).sort(),
  ]
}

function together([first = '', ...others]: readonly string[]): string {
  if (others.length === 0) return first
  return `${first} (and ${others.length} other ${others.length === 1 ? 'pod' : 'pods'})`
}
