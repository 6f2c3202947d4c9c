/** Which Pod Security Standard a namespace's labels ask for, and in which version. Pure. */
import { type FieldError, invalid } from '../../../kube/field-error.ts'
import type { PodSecurityLevel } from './pod-security-checks.ts'

export interface LevelVersion {
  readonly level: PodSecurityLevel
  /** `latest` or `v1.N`. */
  readonly version: string
}

/** What counts where labels say nothing. */
export interface PodSecurityDefaults {
  readonly enforce: LevelVersion
  readonly audit: LevelVersion
  readonly warn: LevelVersion
}

export interface PodSecurityPolicy extends PodSecurityDefaults {
  readonly problems: readonly FieldError[]
}

type Labels = Readonly<Record<string, string>>

export const PREFIX = 'pod-security.kubernetes.io/'
const LEVELS: readonly string[] = ['privileged', 'baseline', 'restricted']
const VERSION = /^v1\.(0|[1-9]\d*)$/
export const NONE: LevelVersion = { level: 'privileged', version: 'latest' }

export const isLevel = (value: unknown): value is PodSecurityLevel => LEVELS.includes(String(value))

export const isVersion = (value: unknown): value is string =>
  value === 'latest' || (typeof value === 'string' && VERSION.test(value))

export const textOf = ({ level, version }: LevelVersion): string => `${level}:${version}`

/** As upstream: an unknown level is the strictest for `enforce`, and none for the others. */
export function policyOf(labels: Labels = {}, defaults: PodSecurityDefaults): PodSecurityPolicy {
  const problems: FieldError[] = []
  const enforce = readMode(labels, 'enforce', defaults.enforce, problems)
  const audit = readMode(labels, 'audit', defaults.audit, problems)
  const warn = readMode(labels, 'warn', warnedWithout(labels, enforce, defaults), problems)
  return { enforce, audit, warn, problems }
}

/** Who is enforced upon by a label is warned, unless a label says otherwise, or more is warned of anyway. */
function warnedWithout(labels: Labels, enforce: LevelVersion, { warn }: PodSecurityDefaults): LevelVersion {
  if (!isLevel(labels[`${PREFIX}enforce`]) || labels[`${PREFIX}warn`] !== undefined) return warn
  return LEVELS.indexOf(enforce.level) > LEVELS.indexOf(warn.level) ? enforce : warn
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
  const level = labels[levelKey] ?? fallback.level
  const version = labels[versionKey] ?? fallback.version
  if (!isLevel(level)) bad(levelKey, level, `must be one of ${LEVELS.join(', ')}`)
  if (!isVersion(version)) bad(versionKey, version, 'must be "latest" or "v1.x"')
  const whenBad = mode === 'enforce' ? 'restricted' : 'privileged'
  return { level: isLevel(level) ? level : whenBad, version: isVersion(version) ? version : 'latest' }
}

/** The modes that ask for something: `enforce=baseline:latest, warn=restricted:latest`. */
export const summaryOf = ({ enforce, audit, warn }: PodSecurityDefaults): string =>
  Object.entries({ enforce, audit, warn })
    .filter(([, { level }]) => level !== 'privileged')
    .map(([mode, wanted]) => `${mode}=${textOf(wanted)}`)
    .join(', ')

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
