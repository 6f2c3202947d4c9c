/** `KubeSchedulerConfiguration` of kubescheduler.config.k8s.io/v1: read from YAML, checked, and made into profiles. */
import { Mk8sError, messageOf } from '../../base/errors.ts'
import { isMap, type JsonMap } from '../../kube/json-map.ts'
import { parseYaml } from '../../kube/yaml.ts'
import { type ExtenderConfig, type ReadFile, readExtenders } from './extender-config.ts'
import { readPluginConfig } from './plugin-config.ts'
import { readPlugins } from './plugin-sets.ts'
import { DEFAULT_PROFILE, DEFAULT_SCHEDULER, type Profile } from './profile.ts'

export interface SchedulerConfig {
  /** By the name that pods ask for. */
  readonly profiles: ReadonlyMap<string, Profile>
  readonly initialBackoffMs: number
  readonly maxBackoffMs: number
  readonly extenders: readonly ExtenderConfig[]
}

export const DEFAULT_CONFIG: SchedulerConfig = {
  profiles: new Map([[DEFAULT_SCHEDULER, DEFAULT_PROFILE]]),
  initialBackoffMs: 1_000,
  maxBackoffMs: 10_000,
  extenders: [],
}

const VERSION = 'kubescheduler.config.k8s.io/v1'
const KIND = 'KubeSchedulerConfiguration'
/** What has no meaning here is let through: one scheduler per leader, in the API server's own process. */
const WITHOUT_MEANING = [
  'parallelism',
  'leaderElection',
  'clientConnection',
  'enableProfiling',
  'enableContentionProfiling',
  'delayCacheUntilActive',
]
const KEYS = [
  ...['apiVersion', 'kind', 'profiles', 'percentageOfNodesToScore', 'extenders'],
  ...['podInitialBackoffSeconds', 'podMaxBackoffSeconds'],
  ...WITHOUT_MEANING,
]
const PROFILE_KEYS = ['schedulerName', 'percentageOfNodesToScore', 'plugins', 'pluginConfig']

/** Throws `config/invalid` with everything that is wrong. */
export function parseSchedulerConfig(text: string, path: string, readFile: ReadFile): SchedulerConfig {
  const problems: string[] = []
  const read = readYaml(text, path)
  const value = isMap(read) ? read : {}
  if (value['apiVersion'] !== VERSION || value['kind'] !== KIND)
    problems.push(`it is not a ${KIND} of ${VERSION}`)
  findUnknown(value, KEYS, '', problems)
  const extenders = readExtenders(value['extenders'], problems, readFile)
  const initialBackoffMs = secondsOf(value, 'podInitialBackoffSeconds', 1, problems)
  const maxBackoffMs = secondsOf(value, 'podMaxBackoffSeconds', 10, problems)
  if (initialBackoffMs <= 0) problems.push('podInitialBackoffSeconds: Invalid value: must be greater than 0')
  if (maxBackoffMs < initialBackoffMs)
    problems.push(
      'podMaxBackoffSeconds: Invalid value: must be greater than or equal to PodInitialBackoffSeconds',
    )
  const percentage = percentageOf(value, '', problems) ?? 0
  const ignored = extenders.flatMap(({ managedResources }) =>
    managedResources.filter(({ isIgnored }) => isIgnored).map(({ name }) => name),
  )
  const profiles = new Map(
    Array.from(readProfiles(value['profiles'], percentage, problems), ([name, profile]) => {
      return [name, { ...profile, ignoredResources: new Set([...profile.ignoredResources, ...ignored]) }]
    }),
  )
  if (problems.length > 0)
    throw new Mk8sError('config/invalid', `${path} cannot be used`, { why: problems.join('\n') })
  return { profiles, initialBackoffMs, maxBackoffMs, extenders }
}

function readYaml(text: string, path: string): unknown {
  try {
    return parseYaml(text)
  } catch (error) {
    throw new Mk8sError('config/invalid', `${path} is not YAML`, { why: messageOf(error), cause: error })
  }
}

function readProfiles(value: unknown, percentage: number, problems: string[]): Map<string, Profile> {
  const profiles = new Map<string, Profile>()
  const all = Array.isArray(value) && value.length > 0 ? value : [{ schedulerName: DEFAULT_SCHEDULER }]
  for (const [at, one] of all.entries()) {
    const path = `profiles[${at}]`
    const map = isMap(one) ? one : {}
    findUnknown(map, PROFILE_KEYS, `${path}.`, problems)
    const profile = readProfile(map, path, percentage, problems)
    if (profiles.has(profile.name))
      problems.push(`${path}.schedulerName: Duplicate value: ${JSON.stringify(profile.name)}`)
    profiles.set(profile.name, profile)
  }
  return profiles
}

function readProfile(map: JsonMap, path: string, percentage: number, problems: string[]): Profile {
  const { schedulerName, plugins, pluginConfig } = map
  // Upstream names a lone profile by default, and asks for names of several.
  const name = schedulerName ?? (path === 'profiles[0]' ? DEFAULT_SCHEDULER : '')
  if (typeof name !== 'string' || name === '') problems.push(`${path}.schedulerName: Required value`)
  return {
    ...DEFAULT_PROFILE,
    ...readPlugins(plugins, `${path}.plugins`, problems),
    ...readPluginConfig(pluginConfig, `${path}.pluginConfig`, problems),
    name: String(name),
    percentageOfNodesToScore: percentageOf(map, `${path}.`, problems) ?? percentage,
  }
}

function percentageOf(map: JsonMap, prefix: string, problems: string[]): number | null {
  const value = map['percentageOfNodesToScore']
  if (value === undefined || value === null) return null
  if (Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 100) return Number(value)
  const given = JSON.stringify(value)
  problems.push(`${prefix}percentageOfNodesToScore: Invalid value: ${given}: not in valid range [0-100]`)
  return null
}

function secondsOf(map: JsonMap, key: string, fallback: number, problems: string[]): number {
  const value = map[key] ?? fallback
  if (Number.isInteger(value)) return Number(value) * 1_000
  problems.push(`${key}: Invalid value: ${JSON.stringify(value)}: must be an integer`)
  return fallback * 1_000
}

export function findUnknown(
  map: JsonMap,
  known: readonly string[],
  prefix: string,
  problems: string[],
): void {
  for (const key of Object.keys(map))
    if (!known.includes(key)) problems.push(`${prefix}${key}: unknown field`)
}
