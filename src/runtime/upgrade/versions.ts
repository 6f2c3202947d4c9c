/** Versions of mk8s: read, compared, and how far apart those of one cluster may be. Pure. */
import { Mk8sError } from '../../base/errors.ts'

export interface Version {
  readonly major: number
  readonly minor: number
  readonly patch: number
  /** What is behind the hyphen; empty for a release. */
  readonly before: string
}

const VERSION = /^v?(\d{1,6})\.(\d{1,6})\.(\d{1,6})(?:-([0-9A-Za-z.-]{1,64}))?$/

export function parseVersion(text: string): Version {
  const [, major, minor, patch, before = ''] = VERSION.exec(text) ?? []
  if (major === undefined) throw new Mk8sError('usage', `${JSON.stringify(text)} is not a version`)
  return { major: Number(major), minor: Number(minor), patch: Number(patch), before }
}

/** Below zero when the first one is older. What comes before a release is older than it. */
export function compareVersions(one: string, other: string): number {
  const [a, b] = [parseVersion(one), parseVersion(other)]
  const numbers = a.major - b.major || a.minor - b.minor || a.patch - b.patch
  if (numbers !== 0 || a.before === b.before) return numbers
  if (a.before === '' || b.before === '') return a.before === '' ? 1 : -1
  return a.before.localeCompare(b.before, 'en', { numeric: true })
}

/** Servers and workers of one cluster work together when at most one minor version lies between them. */
export function mayMeet(one: string, other: string): boolean {
  const [a, b] = [parseVersion(one), parseVersion(other)]
  return a.major === b.major && Math.abs(a.minor - b.minor) <= 1
}

/** `v1.36.0+mk8s.0.1.0`, as a Node's kubelet says it, has `0.1.0`; null for another kubelet's. */
export const ownVersionIn = (kubeletVersion: string): string | null =>
  /\+mk8s\.(.+)$/.exec(kubeletVersion)?.[1] ?? null
