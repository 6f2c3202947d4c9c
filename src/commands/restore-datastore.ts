/** `mk8s restore-datastore`: the whole state of the cluster, or a part of it, from a backup. */
import { existsSync } from 'node:fs'
import * as Args from '@oclif/core/args'
import { systemClock } from '../base/clock.ts'
import { Flags, optionFlags } from '../cli/flags.ts'
import { renderRestored } from '../cli/restore-view.ts'
import { print, printJson } from '../cli/terminal.ts'
import { nodeConfigPath, readNodeConfig } from '../config/config-files.ts'
import { acquireInstallLock } from '../host/lock.ts'
import type { Backup } from '../runtime/backup/backup-reader.ts'
import { type OpeningFlags, openingFlags, withBackup } from './backup/opening-flags.ts'
import { FILE_OR_URL } from './backup/remote-flags.ts'
import {
  lifecycleOf,
  mustBeRoot,
  NodeCommand,
  type NodeLifecycle,
  timeoutFlag,
  yesFlag,
} from './base-command.ts'
import type { Restored, RestoreFlags } from './restoring.ts'

type Texts = Readonly<Record<string, string>>

export class RestoreDatastore extends NodeCommand {
  static override summary = 'Bring the state of the cluster back from a backup.'
  static override description =
    'Checks the backup, all of it, and then replaces the whole state: on this server, and with it on all others of ' +
    'the cluster, as a new generation; what the backup lacks is gone, and workers follow by themselves. What was ' +
    'there before is kept. On a machine without mk8s, the cluster is installed from the backup. With --only, parts ' +
    'are written into the running cluster instead. A restore that is interrupted is finished, or was never begun.'
  static override examples = [
    'sudo <%= config.bin %> restore-datastore mk8s.mk8sbackup --dry-run',
    'sudo <%= config.bin %> restore-datastore mk8s.mk8sbackup --passphrase-file /root/backup-passphrase',
    'sudo <%= config.bin %> restore-datastore --schedule nightly',
    'sudo <%= config.bin %> restore-datastore "s3://bucket/mk8s/FILE.mk8sbackup?region=eu-west-1" --credentials s3.yaml',
    'sudo <%= config.bin %> restore-datastore mk8s.mk8sbackup --only namespace/shop --only clusterrole/auditor',
  ]
  static override args = { file: Args.string({ description: FILE_OR_URL }) }
  static override flags = {
    ...openingFlags,
    yes: yesFlag,
    only: Flags.string({
      description:
        'A part: namespace/NAME with all that is in it, or KIND[/NAMESPACE[/NAME]]. Again for more parts.',
      multiple: true,
      helpValue: 'PART',
    }),
    'dry-run': Flags.boolean({
      description: 'Show what would be added, changed and removed, and change nothing.',
    }),
    'others-are-off': Flags.boolean({
      description: 'Servers that do not answer are off for good: the restored cluster is without them.',
    }),
    timeout: timeoutFlag('How long to wait until the servers are Ready.'),
    ...optionFlags('NodeConfig'),
  }

  async run(): Promise<number> {
    const { args, flags } = await this.parse(RestoreDatastore)
    mustBeRoot('restore-datastore')
    const dataDir = flags['data-dir']
    const lifecycle = await lifecycleOf(dataDir)
    const { only = [] } = flags
    if (only.length > 0) return await this.#restorePart(args.file, { ...flags, only })
    const lock = acquireInstallLock(dataDir)
    try {
      if (await finishInterrupted(lifecycle, flags)) return 0
      return await withBackup(args.file, flags, async backup => {
        await checkSmallParts(backup)
        const restored = await restore(backup, lifecycle, { ...flags, texts: textsOf(flags) })
        if (restored !== null) showRestored(restored, flags)
        return 0
      })
    } finally {
      lock.release()
    }
  }

  async #restorePart(
    file: string | undefined,
    flags: RestoreFlags & OpeningFlags & { readonly only: readonly string[] },
  ): Promise<number> {
    const { restorePart } = await import('./restoring-part.ts')
    return await withBackup(file, flags, backup =>
      restorePart(backup, readNodeConfig(flags['data-dir']), flags),
    )
  }
}

/** The state is checked where it is put. */
async function checkSmallParts(backup: Backup): Promise<void> {
  const { STATE_NAME } = await import('../runtime/backup/manifest.ts')
  for (const { name } of backup.manifest.parts) if (name !== STATE_NAME) backup.read(name)
}

async function restore(
  backup: Backup,
  lifecycle: NodeLifecycle,
  flags: RestoreFlags & { readonly texts: Texts },
): Promise<Restored | null> {
  const dataDir = flags['data-dir']
  if (existsSync(nodeConfigPath(dataDir))) {
    const { restoreInstalled } = await import('./restoring.ts')
    return restoreInstalled(backup, readNodeConfig(dataDir), lifecycle, flags)
  }
  const { restoreFresh } = await import('./restoring-fresh.ts')
  return restoreFresh(backup, lifecycle, flags)
}

/** Another restore got as far as its journal: nothing is left to decide. */
async function finishInterrupted(lifecycle: NodeLifecycle, flags: RestoreFlags): Promise<boolean> {
  const { dataDir } = lifecycle
  const { readJournal } = await import('../runtime/recovery/switch-over.ts')
  const journal = readJournal(dataDir)
  if (journal?.restore === undefined) return false
  if (flags['dry-run']) {
    print('A restore was interrupted after it was decided; mk8s start or mk8s restore-datastore finishes it.')
    return true
  }
  const [{ putInPlace, commandLog }, { createServerCalls }, { finishRestore }] = await Promise.all([
    import('./restoring.ts'),
    import('../runtime/restore/server-calls.ts'),
    import('../runtime/restore/finish-restore.ts'),
  ])
  const calls = createServerCalls(dataDir)
  if (existsSync(nodeConfigPath(dataDir))) {
    const { newClusterId } = journal
    await putInPlace(readNodeConfig(dataDir), lifecycle, calls, { newClusterId, timeout: flags.timeout })
  } else {
    const signal = new AbortController().signal
    const timeoutMs = flags.timeout * 1000
    await finishRestore({ dataDir, calls, clock: systemClock, log: commandLog(), signal, timeoutMs })
  }
  const { completeInstallation } = await import('./restoring-fresh.ts')
  const { nodeName } = await completeInstallation(lifecycle, flags)
  if (flags.json) printJson({ result: 'finished', nodeName, ...journal })
  else print(`The restore that was interrupted is finished: ${nodeName} is Ready.`)
  return true
}

function showRestored(restored: Restored, flags: RestoreFlags): void {
  if (flags.json) printJson({ result: 'restored', ...restored })
  else print(renderRestored({ ...restored, dataDir: flags['data-dir'] }))
}

/** The flags that hold text, which is all that options do. */
function textsOf(flags: Readonly<Record<string, unknown>>): Texts {
  const texts = Object.entries(flags).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  )
  return Object.fromEntries(texts)
}
