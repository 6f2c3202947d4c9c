/**
 * What a daemon does about an upgrade whose command is gone, by a power cut or a kill: it goes on with the next
 * executable, and puts the one before back when the next one cannot serve.
 */
import { isRunning } from '../../host/processes.ts'
import { discardStaged, sumOfFile, switchBack } from './executable-files.ts'
import { planResumption } from './plan-upgrade.ts'
import { readUpgrade, writeUpgrade } from './upgrade-journal.ts'

export interface Trial {
  /** `start-again`: another executable is in place now. */
  readonly kind: 'go-on' | 'start-again'
  /** To be called once the daemon serves. */
  served(): void
}

const NOTHING: Trial = { kind: 'go-on', served: () => {} }

export async function beginTrial(dataDir: string): Promise<Trial> {
  const record = readUpgrade(dataDir)
  if (record === null || record.stage === 'done' || record.stage === 'failed') return NOTHING
  const isSwitched = (await sumOfFile(record.program)) === record.sum
  const counted = isSwitched ? { ...record, starts: record.starts + 1 } : record
  if (isSwitched) writeUpgrade(dataDir, counted)
  switch (planResumption(counted, { ownerAlive: isRunning(record.owner), isSwitched }).kind) {
    case 'none':
      return NOTHING
    case 'discard':
      discardStaged(record.program)
      writeUpgrade(dataDir, { ...record, stage: 'failed', why: 'it was cut off before it was in place' })
      return NOTHING
    case 'go-back':
      if (isSwitched) switchBack(record.program)
      writeUpgrade(dataDir, { ...counted, stage: 'failed', why: counted.why || 'it did not come to serve' })
      return isSwitched ? { ...NOTHING, kind: 'start-again' } : NOTHING
    case 'finish':
      return { kind: 'go-on', served: () => writeUpgrade(dataDir, { ...counted, stage: 'done' }) }
  }
}
