/** `mk8s backup run-job`: carries out one job of a schedule, for the daemon that started it and only as long as that lives. */
import { rmSync } from 'node:fs'
import { constants, setPriority } from 'node:os'
import { createInterface } from 'node:readline'
import { systemClock } from '../../base/clock.ts'
import { EXIT_INTERRUPTED, Mk8sError } from '../../base/errors.ts'
import { systemRandom } from '../../base/random.ts'
import { print } from '../../cli/terminal.ts'
import { createAdminClient } from '../../client/admin-client.ts'
import { nodePaths } from '../../host/node-files.ts'
import { copyDatastore } from '../../runtime/backup/copy-datastore.ts'
import type { BackupJob } from '../../runtime/backup/schedule/backup-job.ts'
import { carryOutJob } from '../../runtime/backup/schedule/carry-out-job.ts'
import { NodeCommand } from '../base-command.ts'

/** How long a target may take to end what is under way, once nobody waits for it. */
const END_MS = 3_000

export class BackupRunJob extends NodeCommand {
  static override summary = 'Make one backup for the daemon.'
  static override hidden = true

  async run(): Promise<number> {
    const { flags } = await this.parse(BackupRunJob)
    const paths = nodePaths(flags['data-dir'])
    const leftovers = new Set<string>()
    process.on('exit', () => {
      for (const path of leftovers) rmSync(path, { force: true })
    })
    const ended = endedWithParent()
    yieldToOthers()
    try {
      const job = await ended.job
      const admin = createAdminClient(paths.adminSocket)
      const parts = { clock: systemClock, random: systemRandom, leftovers }
      const result = await carryOutJob(job, {
        ...parts,
        copy: async () => await copyDatastore(await admin.copyDatastore(), parts),
        pkiDirectory: paths.pki,
        signal: ended.signal,
      })
      print(JSON.stringify({ result }))
      return 0
    } catch (error) {
      if (!(error instanceof Mk8sError)) throw error
      const { code, message, why, hint } = error
      print(JSON.stringify({ error: { code, message, why, hint } }))
      return error.info.exit
    } finally {
      process.stdin.destroy()
    }
  }
}

/** The daemon holds the standard input open; nobody wants the result any more once it does not. */
function endedWithParent(): { readonly job: Promise<BackupJob>; readonly signal: AbortSignal } {
  const over = new AbortController()
  const { promise, resolve, reject } = Promise.withResolvers<BackupJob>()
  const lines = createInterface({ input: process.stdin })
  lines.once('line', line => {
    try {
      resolve(JSON.parse(line) as BackupJob)
    } catch {
      reject(new Mk8sError('usage', 'this command is for the daemon alone'))
    }
  })
  const end = () => {
    const error = new Mk8sError('usage', 'the daemon that this was for has ended')
    over.abort(error)
    reject(error)
    setTimeout(() => process.exit(EXIT_INTERRUPTED), END_MS).unref()
  }
  lines.once('close', end)
  process.once('SIGTERM', end)
  return { job: promise, signal: over.signal }
}

/** Those who write meanwhile come first. */
function yieldToOthers(): void {
  try {
    setPriority(constants.priority.PRIORITY_LOW)
  } catch {
    // Then all are equal.
  }
}
