/** `mk8s restore-datastore --only`: parts of a backup, as ordinary writes into the running cluster. */

import { join } from 'node:path'
import { systemClock } from '../base/clock.ts'
import { Mk8sError } from '../base/errors.ts'
import { renderPartOutcomes } from '../cli/restore-view.ts'
import { confirm, print, printJson } from '../cli/terminal.ts'
import { KubeClient } from '../client/kube-client.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { readAsset } from '../host/assets.ts'
import { readIfThere } from '../host/files.ts'
import { nodePaths } from '../host/node-files.ts'
import { parseModel } from '../kube/model.ts'
import type { Backup } from '../runtime/backup/backup-reader.ts'
import { KEYS_PREFIX } from '../runtime/backup/manifest.ts'
import { damaged } from '../runtime/backup/refusals.ts'
import { stateFindings, withBackupState } from '../runtime/backup/verify-backup.ts'
import { SECRETS_KEY_FILE } from '../runtime/pki/pki.ts'
import { openedState } from '../runtime/restore/opened-state.ts'
import { namespaceIn, selectPart } from '../runtime/restore/part-plan.ts'
import { type PartOutcome, restoreItems } from '../runtime/restore/restore-part.ts'
import { administratorOf } from './administrator.ts'
import { type RestoreFlags, workerError } from './restoring.ts'

export async function restorePart(
  backup: Backup,
  config: NodeConfig,
  flags: RestoreFlags & { readonly only: readonly string[] },
): Promise<number> {
  if (config.role !== 'server') throw workerError()
  const transport = await administratorOf(config)
  try {
    const outcomes = await withBackupState(backup, async state => {
      const findings = stateFindings(backup, state)
      if (findings.length > 0) throw damaged(backup.path, findings.join('; '))
      const model = parseModel(readAsset('model.json'))
      const opened = openedState(state, secretsKeyOf(backup, config))
      const part = selectPart(opened, flags.only, model)
      if (part.items.length + part.leftOut.length === 0) throw nothingThere(backup, flags.only)
      const count = part.items.length
      const dryRun = flags['dry-run']
      if (!dryRun) await confirm(`Write ${count} objects of the backup into the cluster?`, flags)
      const client = new KubeClient(transport, { userAgent: 'mk8s/restore' })
      const namespaceOf = (name: string) => namespaceIn(opened, name)
      return restoreItems({ client, model, dryRun, clock: systemClock, namespaceOf }, part)
    })
    return tell(outcomes, flags)
  } finally {
    transport.close()
  }
}

/** Of the backup, where it has its keys, and of this server: the one that opens is the one. */
function secretsKeyOf(backup: Backup, { dataDir }: NodeConfig): string | null {
  const part = `${KEYS_PREFIX}${SECRETS_KEY_FILE}`
  const isInside = backup.manifest.parts.some(({ name }) => name === part)
  const own = readIfThere(join(nodePaths(dataDir).pki, SECRETS_KEY_FILE))
  const texts = [isInside ? backup.read(part).toString('utf8') : undefined, own]
  return texts.filter(text => text !== undefined).join('\n') || null
}

const nothingThere = ({ path }: Backup, only: readonly string[]): Mk8sError =>
  new Mk8sError('usage', `the backup ${path} has nothing of ${only.join(', ')}`, {
    hint: `mk8s backup inspect ${path} tells what it has`,
  })

function tell(outcomes: readonly PartOutcome[], flags: RestoreFlags): number {
  if (flags.json) printJson({ dryRun: flags['dry-run'], objects: outcomes })
  else print(renderPartOutcomes(outcomes, { dryRun: flags['dry-run'] }))
  return outcomes.some(({ action }) => action === 'failed') ? 1 : 0
}
