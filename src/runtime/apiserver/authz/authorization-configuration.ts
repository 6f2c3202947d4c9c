/** `AuthorizationConfiguration` of apiserver.config.k8s.io: read from YAML and checked; expressions are compiled. */
import { Mk8sError, messageOf } from '../../../base/errors.ts'
import { compileExpression, type Program } from '../../../kube/cel/cel.ts'
import { TYPE_NAMES } from '../../../kube/cel/env.ts'
import { fromJson } from '../../../kube/cel/json-value.ts'
import { kubernetesFunctions } from '../../../kube/cel/library/library.ts'
import { DYN } from '../../../kube/cel/types.ts'
import { isMap, type JsonMap } from '../../../kube/json-map.ts'
import { checkDns1123Subdomain } from '../../../kube/names.ts'
import { parseGoDuration } from '../../../kube/time.ts'
import { parseYaml } from '../../../kube/yaml.ts'

export interface WebhookTimes {
  /** For how long answers are kept; 0: not at all. */
  readonly authorizedTtlMs: number
  readonly unauthorizedTtlMs: number
}

export interface AuthorizationWebhook extends WebhookTimes {
  readonly kubeConfigFile: string
  readonly timeoutMs: number
  /** A webhook that cannot be asked refuses; otherwise it has no opinion. */
  readonly refusesOnFailure: boolean
  /** What it is asked about: a SubjectAccessReview's spec. Throws when that cannot be told. */
  readonly isAsked: (spec: object) => boolean
}

export type ConfiguredAuthorizer = 'Node' | 'RBAC' | AuthorizationWebhook

const TYPES = ['Node', 'RBAC', 'Webhook']
const VERSIONS = ['apiserver.config.k8s.io/v1', 'apiserver.config.k8s.io/v1beta1']
const AUTHORIZED_TTL = '5m'
const UNAUTHORIZED_TTL = '30s'
const TIMEOUT_MS_MAX = 30_000
/** Where no configuration says another. */
const PLAIN_TIMEOUT_MS = 10_000
const COST_MAX = 1_000_000

/** Of the flag that names a kubeconfig only. */
export const plainWebhook = (kubeConfigFile: string, times: WebhookTimes): AuthorizationWebhook => ({
  ...times,
  kubeConfigFile,
  timeoutMs: PLAIN_TIMEOUT_MS,
  refusesOnFailure: false,
  isAsked: () => true,
})

/** Throws `config/invalid` with everything that is wrong; those of here, and webhooks, in their order. */
export function parseAuthorization(text: string, path: string): readonly ConfiguredAuthorizer[] {
  const problems: string[] = []
  const value = readYaml(text, path)
  const { apiVersion, kind, authorizers: listed } = isMap(value) ? value : {}
  if (!VERSIONS.includes(String(apiVersion)) || kind !== 'AuthorizationConfiguration')
    problems.push('it is not an AuthorizationConfiguration of apiserver.config.k8s.io/v1')
  const all = (Array.isArray(listed) ? listed : []).map(one => (isMap(one) ? one : {}))
  if (all.length === 0)
    problems.push('authorizers: Required value: at least one authorization mode must be defined')
  problems.push(...typeProblems(all.map(one => String(one['type'] ?? ''))), ...nameProblems(all))
  const authorizers = all.map((one, at): ConfiguredAuthorizer => {
    const { type } = one
    return type === 'Node' || type === 'RBAC' ? type : webhookOf(one, `authorizers[${at}]`, problems)
  })
  if (problems.length > 0)
    throw new Mk8sError('config/invalid', `${path} cannot be used`, { why: problems.join('\n') })
  return authorizers
}

function readYaml(text: string, path: string): unknown {
  try {
    return parseYaml(text)
  } catch (error) {
    throw new Mk8sError('config/invalid', `${path} is not YAML`, { why: messageOf(error), cause: error })
  }
}

/** Node and RBAC stay on here, wherever they stand. */
function typeProblems(types: readonly string[]): string[] {
  return [
    ...types.flatMap((type, at) => {
      const where = `authorizers[${at}].type`
      if (!TYPES.includes(type))
        return [
          `${where}: Unsupported value: ${JSON.stringify(type)}: supported values: "Node", "RBAC", "Webhook"`,
        ]
      const isAgain = type !== 'Webhook' && types.indexOf(type) < at
      return isAgain ? [`${where}: Duplicate value: ${JSON.stringify(type)}`] : []
    }),
    ...TYPES.slice(0, 2)
      .filter(type => !types.includes(type))
      .map(
        type => `authorizers: Required value: ${type} has to be one of them; here it cannot be switched off`,
      ),
  ]
}

function nameProblems(all: readonly JsonMap[]): string[] {
  const names = all.map(one => String(one['name'] ?? ''))
  return names.flatMap((name, at) => {
    const where = `authorizers[${at}].name`
    if (name === '') return [`${where}: Required value`]
    if (names.indexOf(name) < at) return [`${where}: Duplicate value: ${JSON.stringify(name)}`]
    return checkDns1123Subdomain(name).map(why => `${where}: Invalid value: ${JSON.stringify(name)}: ${why}`)
  })
}

function webhookOf(authorizer: JsonMap, where: string, problems: string[]): AuthorizationWebhook {
  const at = `${where}.webhook`
  const fields = isMap(authorizer['webhook']) ? authorizer['webhook'] : {}
  const duration = (name: string, fallback: string): number => {
    const text = String(fields[name] ?? fallback)
    const ms = parseGoDuration(text)
    if (ms === null || ms < 0)
      problems.push(`${at}.${name}: Invalid value: ${JSON.stringify(text)}: must be a duration`)
    return ms ?? 0
  }
  const kept = (name: string, fallback: string, isCached: unknown) => {
    const ms = duration(name, fallback)
    return isCached === false ? 0 : ms
  }
  const timeoutMs = duration('timeout', '0s')
  if (timeoutMs <= 0 || timeoutMs > TIMEOUT_MS_MAX)
    problems.push(`${at}.timeout: Invalid value: must be more than 0s and not more than 30s`)
  if (fields['subjectAccessReviewVersion'] !== 'v1')
    problems.push(`${at}.subjectAccessReviewVersion: Unsupported value: only v1 is spoken here`)
  const { failurePolicy } = fields
  if (failurePolicy !== 'NoOpinion' && failurePolicy !== 'Deny')
    problems.push(`${at}.failurePolicy: Unsupported value: NoOpinion or Deny`)
  return {
    authorizedTtlMs: kept('authorizedTTL', AUTHORIZED_TTL, fields['cacheAuthorizedRequests']),
    unauthorizedTtlMs: kept('unauthorizedTTL', UNAUTHORIZED_TTL, fields['cacheUnauthorizedRequests']),
    kubeConfigFile: kubeConfigOf(fields, at, problems),
    timeoutMs,
    refusesOnFailure: failurePolicy === 'Deny',
    isAsked: conditionsOf(fields, at, problems),
  }
}

function kubeConfigOf(fields: JsonMap, at: string, problems: string[]): string {
  const { type, kubeConfigFile } = isMap(fields['connectionInfo']) ? fields['connectionInfo'] : {}
  if (type !== 'KubeConfigFile')
    problems.push(`${at}.connectionInfo.type: Unsupported value: only KubeConfigFile`)
  else if (typeof kubeConfigFile !== 'string' || !kubeConfigFile.startsWith('/'))
    problems.push(`${at}.connectionInfo.kubeConfigFile: Invalid value: must be an absolute path`)
  return String(kubeConfigFile ?? '')
}

function conditionsOf(fields: JsonMap, at: string, problems: string[]): AuthorizationWebhook['isAsked'] {
  const conditions = Array.isArray(fields['matchConditions']) ? fields['matchConditions'] : []
  if (conditions.length > 0 && fields['matchConditionSubjectAccessReviewVersion'] !== 'v1')
    problems.push(`${at}.matchConditionSubjectAccessReviewVersion: Required value: v1`)
  const programs = conditions.flatMap((one, index) => {
    const source = String(isMap(one) ? (one['expression'] ?? '') : '')
    return compiled(source, `${at}.matchConditions[${index}].expression`, problems)
  })
  return spec => {
    const request = fromJson(spec, DYN)
    const outcomes = programs.map(program => program.evaluate({ request }, COST_MAX))
    // One that says no counts whatever became of the others.
    if (outcomes.some(outcome => outcome.ok && outcome.value !== true)) return false
    const failed = outcomes.find(outcome => !outcome.ok)
    if (failed !== undefined && !failed.ok) throw new Error(failed.error)
    return true
  }
}

function compiled(source: string, where: string, problems: string[]): Program[] {
  const variables = new Map([['request', DYN]])
  const env = { variables, functions: kubernetesFunctions, typeNames: TYPE_NAMES, isHomogeneous: true }
  const result = compileExpression(source, env)
  if (result.ok) return [result.program]
  problems.push(`${where}: Invalid value: ${JSON.stringify(source)}: compilation failed: ${result.message}`)
  return []
}
