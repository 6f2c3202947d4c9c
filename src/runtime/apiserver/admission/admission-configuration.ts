/** `AdmissionConfiguration` of apiserver.config.k8s.io: what the admission plugins are configured with. */
import { dirname, resolve } from 'node:path'
import { Mk8sError, messageOf } from '../../../base/errors.ts'
import { isMap, type JsonMap } from '../../../kube/json-map.ts'
import type { ScopeRequirement } from '../../../kube/quota-scopes.ts'
import { parseYaml } from '../../../kube/yaml.ts'
import {
  POD_SECURITY_DEFAULT,
  POD_SECURITY_VERSIONS,
  type PodSecuritySettings,
  readPodSecurity,
} from './pod-security-configuration.ts'

/** What may only be had where a quota says how much of it. */
export interface LimitedResource {
  readonly group: string
  readonly resource: string
  /** Names of what is counted that have one of these in them. */
  readonly matchContains: readonly string[]
  readonly matchScopes: readonly ScopeRequirement[]
}

export interface AdmissionSettings {
  readonly podSecurity: PodSecuritySettings
  readonly limitedResources: readonly LimitedResource[]
}

export const ADMISSION_DEFAULT: AdmissionSettings = {
  podSecurity: POD_SECURITY_DEFAULT,
  limitedResources: [],
}

const VERSIONS = ['v1', 'v1beta1', 'v1alpha1'].map(version => `apiserver.config.k8s.io/${version}`)
const QUOTA_VERSIONS = [...VERSIONS, 'resourcequota.admission.k8s.io/v1beta1']
const OPERATORS = ['In', 'NotIn', 'Exists', 'DoesNotExist']

/** `read` gets what a plugin's `path` names. Throws `config/invalid` with everything that is wrong. */
export function parseAdmission(
  text: string,
  path: string,
  read: (path: string) => string,
): AdmissionSettings {
  const value = readYaml(text, path)
  const problems: string[] = []
  if (!isOf(value, 'AdmissionConfiguration', VERSIONS))
    problems.push('it is not an AdmissionConfiguration of apiserver.config.k8s.io/v1')
  const plugins = (isMap(value) && Array.isArray(value['plugins']) ? value['plugins'] : []).map(one =>
    isMap(one) ? one : {},
  )
  let settings = ADMISSION_DEFAULT
  const names = plugins.map(plugin => String(plugin['name'] ?? ''))
  for (const [at, plugin] of plugins.entries()) {
    const where = `plugins[${at}]`
    const name = JSON.stringify(names[at])
    if (names.indexOf(names[at] ?? '') < at) problems.push(`${where}.name: Duplicate value: ${name}`)
    const found: string[] = []
    if (names[at] === 'PodSecurity') {
      const fields = configurationOf(plugin, path, read)
      if (!isOf(fields, 'PodSecurityConfiguration', POD_SECURITY_VERSIONS)) found.push(WRONG_POD_SECURITY)
      else settings = { ...settings, podSecurity: readPodSecurity(fields, found) }
    } else if (names[at] === 'ResourceQuota') {
      const fields = configurationOf(plugin, path, read)
      if (
        !isOf(fields, 'ResourceQuotaConfiguration', QUOTA_VERSIONS) &&
        !isOf(fields, 'Configuration', QUOTA_VERSIONS)
      )
        found.push(WRONG_QUOTA)
      else settings = { ...settings, limitedResources: readLimited(fields['limitedResources'], found) }
    } else found.push(`name: Unsupported value: ${name}: supported values: "PodSecurity", "ResourceQuota"`)
    problems.push(...found.map(problem => `${where}.${problem}`))
  }
  if (problems.length === 0) return settings
  throw new Mk8sError('config/invalid', `${path} cannot be used`, { why: problems.join('\n') })
}

const WRONG_POD_SECURITY =
  'configuration: it is not a PodSecurityConfiguration of pod-security.admission.config.k8s.io/v1'
const WRONG_QUOTA = 'configuration: it is not a ResourceQuotaConfiguration of apiserver.config.k8s.io/v1'

const isOf = (value: unknown, kind: string, versions: readonly string[]): value is JsonMap =>
  isMap(value) && value['kind'] === kind && versions.includes(String(value['apiVersion']))

function configurationOf(plugin: JsonMap, path: string, read: (path: string) => string): unknown {
  const { configuration, path: named } = plugin
  if (configuration !== undefined && configuration !== null) return configuration
  if (typeof named !== 'string' || named === '') return undefined
  const file = resolve(dirname(path), named)
  return readYaml(read(file), file)
}

function readYaml(text: string, path: string): unknown {
  try {
    return parseYaml(text)
  } catch (error) {
    throw new Mk8sError('config/invalid', `${path} is not YAML`, { why: messageOf(error), cause: error })
  }
}

function readLimited(value: unknown, problems: string[]): readonly LimitedResource[] {
  return (Array.isArray(value) ? value : []).map((one, at) => {
    const fields = isMap(one) ? one : {}
    const where = `configuration.limitedResources[${at}]`
    const { apiGroup = '', resource = '', matchContains, matchScopes } = fields
    if (resource === '') problems.push(`${where}.resource: Required value`)
    return {
      group: String(apiGroup),
      resource: String(resource),
      matchContains: (Array.isArray(matchContains) ? matchContains : []).map(String),
      matchScopes: (Array.isArray(matchScopes) ? matchScopes : []).map((scope, index) =>
        readScope(scope, `${where}.matchScopes[${index}]`, problems),
      ),
    }
  })
}

function readScope(value: unknown, where: string, problems: string[]): ScopeRequirement {
  const { scopeName = '', operator = 'Exists', values } = isMap(value) ? value : {}
  if (scopeName === '') problems.push(`${where}.scopeName: Required value`)
  if (!OPERATORS.includes(String(operator)))
    problems.push(`${where}.operator: Unsupported value: ${JSON.stringify(operator)}`)
  const list = (Array.isArray(values) ? values : []).map(String)
  return { scopeName: String(scopeName), operator: String(operator), values: list }
}
