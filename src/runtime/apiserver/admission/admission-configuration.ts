/** `AdmissionConfiguration` of apiserver.config.k8s.io: what the admission plugins are configured with. */
import { dirname, resolve } from 'node:path'
import { Mk8sError, messageOf } from '../../../base/errors.ts'
import { isMap, type JsonMap } from '../../../kube/json-map.ts'
import type { ScopeRequirement } from '../../../kube/quota-scopes.ts'
import { parseYaml } from '../../../kube/yaml.ts'
import type { EventLimit } from './event-rate-limit.ts'
import type { ImagePolicySettings } from './image-policy.ts'
import {
  readEventLimits,
  readImagePolicy,
  readNodeSelectors,
  readTolerations,
} from './plugin-configurations.ts'
import type { NodeSelectors } from './pod-node-selector.ts'
import {
  POD_SECURITY_DEFAULT,
  POD_SECURITY_VERSIONS,
  type PodSecuritySettings,
  readPodSecurity,
} from './pod-security-configuration.ts'
import type { TolerationSettings } from './pod-toleration-restriction.ts'

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
  readonly nodeSelectors: NodeSelectors
  readonly tolerations: TolerationSettings
  /** Absent: there is no configuration, which these plugins need. */
  readonly eventLimits?: readonly EventLimit[]
  readonly imagePolicy?: ImagePolicySettings
}

export const ADMISSION_DEFAULT: AdmissionSettings = {
  podSecurity: POD_SECURITY_DEFAULT,
  limitedResources: [],
  nodeSelectors: {},
  tolerations: { defaults: [], whitelist: [] },
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
    const name = names[at] ?? ''
    const found: string[] = []
    if (names.indexOf(name) < at) found.push(`name: Duplicate value: ${JSON.stringify(name)}`)
    const reader = readers[name]
    if (reader === undefined) {
      const supported = Object.keys(readers).map(one => JSON.stringify(one))
      const value = `Unsupported value: ${JSON.stringify(name)}`
      found.push(`name: ${value}: supported values: ${supported.join(', ')}`)
    } else {
      const fields = configurationOf(plugin, path, read)
      if (!isMap(fields) || !reader.isOne(fields)) found.push(`configuration: it is not ${reader.what}`)
      else settings = { ...settings, ...reader.read(fields, found, path) }
    }
    problems.push(...found.map(problem => `${where}.${problem}`))
  }
  if (problems.length === 0) return settings
  throw new Mk8sError('config/invalid', `${path} cannot be used`, { why: problems.join('\n') })
}

/** How the configuration of one plugin is known and read. */
interface Reader {
  readonly what: string
  isOne(fields: JsonMap): boolean
  read(fields: JsonMap, problems: string[], path: string): Partial<AdmissionSettings>
}

const readers: Readonly<Record<string, Reader>> = {
  PodSecurity: {
    what: 'a PodSecurityConfiguration of pod-security.admission.config.k8s.io/v1',
    isOne: fields => isOf(fields, 'PodSecurityConfiguration', POD_SECURITY_VERSIONS),
    read: (fields, problems) => ({ podSecurity: readPodSecurity(fields, problems) }),
  },
  ResourceQuota: {
    what: 'a ResourceQuotaConfiguration of apiserver.config.k8s.io/v1',
    isOne: fields =>
      isOf(fields, 'ResourceQuotaConfiguration', QUOTA_VERSIONS) ||
      isOf(fields, 'Configuration', QUOTA_VERSIONS),
    read: (fields, problems) => ({ limitedResources: readLimited(fields['limitedResources'], problems) }),
  },
  EventRateLimit: {
    what: 'a Configuration of eventratelimit.admission.k8s.io/v1alpha1',
    isOne: fields => isOf(fields, 'Configuration', ['eventratelimit.admission.k8s.io/v1alpha1']),
    read: (fields, problems) => ({ eventLimits: readEventLimits(fields, problems) }),
  },
  PodNodeSelector: {
    what: 'a map with podNodeSelectorPluginConfig',
    isOne: () => true,
    read: (fields, problems) => ({ nodeSelectors: readNodeSelectors(fields, problems) }),
  },
  ImagePolicyWebhook: {
    what: 'a map with imagePolicy',
    isOne: () => true,
    read: (fields, problems, path) => ({ imagePolicy: readImagePolicy(fields, path, problems) }),
  },
  PodTolerationRestriction: {
    what: 'a Configuration of podtolerationrestriction.admission.k8s.io/v1alpha1',
    isOne: fields => isOf(fields, 'Configuration', ['podtolerationrestriction.admission.k8s.io/v1alpha1']),
    read: (fields, problems) => ({ tolerations: readTolerations(fields, problems) }),
  },
}

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
