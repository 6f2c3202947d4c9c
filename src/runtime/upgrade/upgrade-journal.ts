/** `<data-dir>/upgrade.json`: how far an upgrade of this node has come, so that whoever comes after a power cut knows. */
import { join } from 'node:path'
import { readIfThere, writeFileDurably } from '../../host/files.ts'
import type { ProcessIdentity } from '../../host/processes.ts'
import { isMap } from '../../kube/json-map.ts'

/**
 * `staged`: the next executable lies beside the one in use. `switching`: it may be in its place already.
 * `restarting`: it is, and the daemon is to become healthy with it. `going-back`: the one before is to be put back.
 * `done` and `failed` are how the last one ended.
 */
export const STAGES = ['staged', 'switching', 'restarting', 'going-back', 'done', 'failed'] as const
export type UpgradeStage = (typeof STAGES)[number]

export interface UpgradeRecord {
  readonly stage: UpgradeStage
  readonly from: string
  readonly to: string
  readonly program: string
  /** SHA-256 of the next executable. */
  readonly sum: string
  /** Who looks after it. */
  readonly owner: ProcessIdentity
  /** How often a daemon has begun with the next executable and not served yet. */
  readonly starts: number
  /** Why it failed; empty otherwise. */
  readonly why: string
}

const journalPath = (dataDir: string): string => join(dataDir, 'upgrade.json')

/** Null when there never was one. A file that cannot be understood counts as none: every executable in place is whole. */
export function readUpgrade(dataDir: string): UpgradeRecord | null {
  const text = readIfThere(journalPath(dataDir))
  if (text === undefined) return null
  try {
    const value: unknown = JSON.parse(text)
    const isKnown = isMap(value) && STAGES.includes(value['stage'] as UpgradeStage)
    return isKnown ? (value as unknown as UpgradeRecord) : null
  } catch {
    return null
  }
}

export function writeUpgrade(dataDir: string, record: UpgradeRecord): void {
  writeFileDurably(journalPath(dataDir), `${JSON.stringify(record)}\n`, 0o600)
}
