/**
 * One node's upgrade: the next executable is staged, asked what it is, put in place of the one in use, and the daemon
 * started with it; when the daemon does not become healthy, the executable before is put back. Every step is in the
 * journal before it is taken.
 */
import { createReadStream, statSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import { isRunning, type ProcessIdentity } from '../../host/processes.ts'
import {
  assertRoom,
  discardStaged,
  hasPrevious,
  keepPrevious,
  previousPath,
  stagedPath,
  stageExecutable,
  sumOfFile,
  switchBack,
  switchExecutable,
} from './executable-files.ts'
import type { Formats } from './formats.ts'
import { planResumption, type UpgradeFacts, upgradeProblems } from './plan-upgrade.ts'
import { readUpgrade, type UpgradeRecord, writeUpgrade } from './upgrade-journal.ts'

export interface Executable {
  readonly version: string
  /** Null when it does not say. */
  readonly formats: Formats | null
}

export interface NodeUpgradeParts {
  readonly dataDir: string
  /** The executable that the daemon is started from. */
  readonly program: string
  readonly present: UpgradeFacts['present']
  readonly owner: ProcessIdentity
  /** Runs the executable to ask what it is. */
  readonly ask: (program: string) => Promise<Executable>
  readonly daemon: {
    /** Whether somebody keeps the daemon running; otherwise it is left alone. */
    isActive(): boolean
    /** Leaves the pods alone. */
    restart(): Promise<void>
    /**
     * Throws with the reason when the node does not become healthy with this version in time. The one before has more
     * time, because there is nothing to go back to.
     */
    healthy(version: string, which: 'next' | 'before'): Promise<void>
  }
  /** Is told what is done. */
  readonly progress: (what: string) => void
}

export interface NextExecutable {
  readonly version: string
  readonly sum: string
  readonly open: () => Promise<Readable>
  readonly others: UpgradeFacts['others']
  readonly isRollback: boolean
}

export type ResumeOutcome = 'none' | 'discarded' | 'finished' | 'went-back'

/** Brings the next executable beside the one in use and makes sure of it; nothing else is changed. */
export async function stageUpgrade(parts: NodeUpgradeParts, next: NextExecutable): Promise<UpgradeRecord> {
  const { dataDir, program, present, owner, progress } = parts
  assertAllowed({ ...next, present, next: { version: next.version, formats: present.formats } })
  assertRoom(program, statSync(program).size)
  progress(`bring mk8s ${next.version}`)
  await stageExecutable(program, await next.open(), next.sum)
  try {
    const found = await parts.ask(stagedPath(program))
    assertAllowed({ ...next, present, next: found })
    if (found.version !== next.version)
      throw new Mk8sError('upgrade/damaged', `the executable is version ${found.version}`, {
        why: `its release says ${next.version}`,
      })
    const record = {
      ...({ stage: 'staged', from: present.version, to: next.version, program, owner } as const),
      ...{ sum: next.sum, starts: 0, why: '' },
    }
    writeUpgrade(dataDir, record)
    return record
  } catch (error) {
    discardStaged(program)
    throw error
  }
}

function assertAllowed(facts: UpgradeFacts): void {
  const [first, ...more] = upgradeProblems(facts)
  if (first === undefined) return
  throw new Mk8sError(
    'refused',
    `mk8s ${facts.next.version} cannot take the place of ${facts.present.version}`,
    {
      why: [first, ...more].join('\n'),
    },
  )
}

/** Puts what was staged in place. @throws `upgrade/failed` once the executable before is back. */
export async function applyUpgrade(parts: NodeUpgradeParts, staged: UpgradeRecord): Promise<void> {
  const { dataDir, program, progress } = parts
  progress(`put mk8s ${staged.to} in place of ${staged.from}`)
  writeUpgrade(dataDir, { ...staged, stage: 'switching', owner: parts.owner })
  keepPrevious(program)
  switchExecutable(program)
  await finishUpgrade(parts, { ...staged, stage: 'restarting', owner: parts.owner })
}

async function finishUpgrade(parts: NodeUpgradeParts, record: UpgradeRecord): Promise<void> {
  const { dataDir, daemon, progress } = parts
  writeUpgrade(dataDir, record)
  try {
    if (daemon.isActive()) {
      progress('start the daemon again; the pods go on running')
      await daemon.restart()
      progress('wait until the node is healthy')
      await daemon.healthy(record.to, 'next')
    }
  } catch (error) {
    const why = error instanceof Mk8sError && error.why ? `${error.message}: ${error.why}` : messageOf(error)
    await goBack(parts, { ...record, why })
    throw new Mk8sError(
      'upgrade/failed',
      `mk8s ${record.to} did not become healthy; ${record.from} is back`,
      {
        why,
        hint: 'mk8s status; the log of the daemon says more',
        cause: error,
      },
    )
  }
  writeUpgrade(dataDir, { ...record, stage: 'done' })
}

async function goBack(parts: NodeUpgradeParts, record: UpgradeRecord): Promise<void> {
  const { dataDir, program, daemon, progress } = parts
  progress(`go back to mk8s ${record.from}`)
  writeUpgrade(dataDir, { ...record, stage: 'going-back', owner: parts.owner })
  discardStaged(program)
  switchBack(program)
  if (daemon.isActive()) {
    await daemon.restart()
    await daemon.healthy(record.from, 'before')
  }
  writeUpgrade(dataDir, { ...record, stage: 'failed' })
}

/** Finishes or undoes what an earlier command left. */
export async function resumeUpgrade(parts: NodeUpgradeParts): Promise<ResumeOutcome> {
  const { dataDir, program, owner } = parts
  const record = readUpgrade(dataDir)
  if (record === null) return 'none'
  if (isUnderWay(record) && record.owner.pid !== owner.pid && isRunning(record.owner))
    throw new Mk8sError('refused', 'an upgrade of this node is under way', {
      why: `process ${record.owner.pid} puts mk8s ${record.to} in place`,
    })
  const isSwitched = isUnderWay(record) && (await sumOfFile(program)) === record.sum
  const { kind } = planResumption(record, { ownerAlive: false, isSwitched })
  if (kind === 'none') return 'none'
  if (kind === 'discard') {
    discardStaged(program)
    writeUpgrade(dataDir, { ...record, stage: 'failed', why: 'it was cut off before it was in place' })
    return 'discarded'
  }
  if (kind === 'finish') {
    await finishUpgrade(parts, { ...record, stage: 'restarting', owner })
    return 'finished'
  }
  await goBack(parts, record)
  return 'went-back'
}

export const isUnderWay = ({ stage }: UpgradeRecord): boolean => stage !== 'done' && stage !== 'failed'

/** The executable before, as what is to come next. */
export async function previousExecutable(
  { program, ask }: Pick<NodeUpgradeParts, 'program' | 'ask'>,
  others: UpgradeFacts['others'],
): Promise<NextExecutable> {
  if (!hasPrevious(program))
    throw new Mk8sError('refused', `there is no ${previousPath(program)} to go back to`)
  const path = previousPath(program)
  const { version } = await ask(path)
  return {
    ...{ version, others, isRollback: true },
    sum: await sumOfFile(path),
    open: async () => createReadStream(path),
  }
}
