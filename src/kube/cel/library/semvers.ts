/** Semantic versions. */
import { fn, method, type Overload, traversal } from '../functions.ts'
import { BOOL, INT, opaque, STRING } from '../types.ts'
import { CelError, OpaqueValue } from '../values.ts'

const SEMVER = opaque('kubernetes.Semver')
const NUMBER = '(0|[1-9]\\d*)'
const IDENTIFIERS = '[0-9A-Za-z-]+(?:\\.[0-9A-Za-z-]+)*'
const FORM = new RegExp(`^${NUMBER}\\.${NUMBER}\\.${NUMBER}(?:-(${IDENTIFIERS}))?(?:\\+(${IDENTIFIERS}))?$`)

interface Version {
  readonly numbers: readonly bigint[]
  readonly prerelease: readonly string[]
}

class SemverValue extends OpaqueValue {
  readonly type = SEMVER
  readonly version: Version

  constructor(version: Version) {
    super()
    this.version = version
  }

  equals(other: OpaqueValue): boolean {
    return other instanceof SemverValue && order(this, other) === 0
  }
}

/** `v1.2` and `01.2.3` become what they mean. */
function normalized(text: string): string {
  const [, core = '', rest = ''] = /^v?([0-9.]*)(.*)$/s.exec(text.trim()) ?? []
  const parts = core.split('.').map(part => part.replace(/^0+(?=\d)/, ''))
  while (parts.length < 3) parts.push('0')
  return parts.join('.') + rest
}

function read(text: string, isLoose: boolean): SemverValue | null {
  const match = FORM.exec(isLoose ? normalized(text) : text)
  if (match === null) return null
  const [, major = '', minor = '', patch = '', prerelease] = match
  const parts = prerelease === undefined ? [] : prerelease.split('.')
  if (parts.some(part => /^0\d+$/.test(part))) return null
  return new SemverValue({ numbers: [major, minor, patch].map(BigInt), prerelease: parts })
}

export const semverValue = (text: string): OpaqueValue => parse(text)

function parse(text: string, isLoose = false): SemverValue {
  const found = read(text, isLoose)
  if (found === null) throw new CelError(`Invalid Semantic Version ${JSON.stringify(text)}`)
  return found
}

function order(a: SemverValue, b: SemverValue): number {
  for (const [index, number] of a.version.numbers.entries()) {
    const other = b.version.numbers[index] ?? 0n
    if (number !== other) return number < other ? -1 : 1
  }
  return orderPrereleases(a.version.prerelease, b.version.prerelease)
}

/** A release comes after its prereleases; numbers come before words. */
function orderPrereleases(a: readonly string[], b: readonly string[]): number {
  if (a.length === 0 || b.length === 0) return Math.sign(b.length - a.length)
  for (const [index, part] of a.entries()) {
    const other = b[index]
    if (other === undefined) return 1
    if (part === other) continue
    const [isNumber, isOtherNumber] = [part, other].map(one => /^\d+$/.test(one))
    if (isNumber && isOtherNumber) return BigInt(part) < BigInt(other) ? -1 : 1
    if (isNumber !== isOtherNumber) return isNumber ? -1 : 1
    return part < other ? -1 : 1
  }
  return a.length < b.length ? -1 : 0
}

const number =
  (index: number) =>
  ({ version }: SemverValue): bigint =>
    version.numbers[index] ?? 0n
const walked = { cost: (size = 0) => traversal(size) }
const pair = [SEMVER, SEMVER] as const

export const semvers: readonly Overload[] = [
  fn('semver', [[STRING], SEMVER], (text: string) => parse(text), walked),
  fn('semver', [[STRING, BOOL], SEMVER], parse, walked),
  fn('isSemver', [[STRING], BOOL], (text: string) => read(text, false) !== null, walked),
  fn(
    'isSemver',
    [[STRING, BOOL], BOOL],
    (text: string, isLoose: boolean) => read(text, isLoose) !== null,
    walked,
  ),
  method('major', [[SEMVER], INT], number(0)),
  method('minor', [[SEMVER], INT], number(1)),
  method('patch', [[SEMVER], INT], number(2)),
  method('isGreaterThan', [pair, BOOL], (a: SemverValue, b: SemverValue) => order(a, b) > 0),
  method('isLessThan', [pair, BOOL], (a: SemverValue, b: SemverValue) => order(a, b) < 0),
  method('compareTo', [pair, INT], (a: SemverValue, b: SemverValue) => BigInt(order(a, b))),
]
