/** Which Pod Security Standard a namespace's labels ask for, and in which version. Pure. */
import { type FieldError, invalid } from '../../../kube/field-error.ts'
import type { PodSecurityLevel } from './pod-security-checks.ts'

export interface LevelVersion {
  readonly level: PodSecurityLevel
  /** `latest` or `v1.N`. */
  readonly version: string
}

export interface PodSecurityPolicy {
  readonly enforce: LevelVersion
  readonly audit: LevelVersion
  readonly warn: LevelVersion
  readonly problems: readonly FieldError[]
}

type Labels = Readonly<Record<string, string>>

export const PREFIX = 'pod-security.kubernetes.io/'
const LEVELS: readonly string[] = ['privileged', 'baseline', 'restricted']
const VERSION = /^v1\.(0|[1-9]\d*)$/
const NONE: LevelVersion = { level: 'privileged', version: 'latest' }

export const textOf = ({ level, version }: LevelVersion): string => `${level}:${version}`

/** As upstream: an unknown level is the strictest for `enforce`, and none for the others. */
export function policyOf(labels: Labels = {}): PodSecurityPolicy {
  const problems: FieldError[] = []
  const enforce = readMode(labels, 'enforce', NONE, problems)
  const audit = readMode(labels, 'audit', NONE, problems)
  // Who is enforced upon is warned, unless the labels say otherwise.
  const enforced = LEVELS.includes(labels[`${PREFIX}enforce`] ?? '') ? enforce : NONE
  const warn = readMode(labels, 'warn', enforced, problems)
  return { enforce, audit, warn, problems }
}

function readMode(
  labels: Labels,
  mode: 'enforce' | 'audit' | 'warn',
  fallback: LevelVersion,
  problems: FieldError[],
): LevelVersion {
  const bad = (key: string, value: string, why: string) =>
    problems.push(invalid(`metadata.labels[${key}]`, value, why))
  const [levelKey, versionKey] = [`${PREFIX}${mode}`, `${PREFIX}${mode}-version`]
  const level = labels[levelKey]
  const version = labels[versionKey]
  const isLevel = level === undefined || LEVELS.includes(level)
  if (!isLevel) bad(levelKey, level, `must be one of ${LEVELS.join(', ')}`)
  const isVersion = version === undefined || version === 'latest' || VERSION.test(version)
  if (!isVersion) bad(versionKey, version, 'must be "latest" or "v1.x"')
  const whenBad = mode === 'enforce' ? 'restricted' : 'privileged'
  return {
    level: isLevel ? ((level ?? fallback.level) as PodSecurityLevel) : whenBad,
    version: isVersion ? (version ?? (level === undefined ? fallback.version : 'latest')) : 'latest',
  }
}

/** Whether pods that the one lets in may be refused by the other. */
export function isStricter(next: LevelVersion, before: LevelVersion): boolean {
  if (next.level === 'privileged' || textOf(next) === textOf(before)) return false
  return next.version !== before.version || LEVELS.indexOf(next.level) > LEVELS.indexOf(before.level)
}

/** The minor version whose rules count; what is later than all rules is the latest. */
export function minorOf(version: string): number {
  const [, minor] = VERSION.exec(version) ?? []
  return minor === undefined ? Number.POSITIVE_INFINITY : Number(minor)
}
