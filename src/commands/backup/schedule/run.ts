/** `mk8s backup schedule run`: makes a schedule's backup now, and waits until it is at its target. */

import * as Args from '@oclif/core/args'
import { sleepAlive, systemClock } from '../../../base/clock.ts'
import { Mk8sError } from '../../../base/errors.ts'
import { renderRun } from '../../../cli/backup-schedules-view.ts'
import { Flags } from '../../../cli/flags.ts'
import { print, printJson } from '../../../cli/terminal.ts'
import type { BackupRun } from '../../../client/backup-schedule-status.ts'
import { type BackupSchedulesClient, createBackupSchedulesClient } from '../../../client/backup-schedules.ts'
import { nodePaths } from '../../../host/node-files.ts'
import { NodeCommand } from '../../base-command.ts'
import { formatFlag } from '../opening-flags.ts'

const LOOK_MS = 300
const TIMEOUT_S = 3_600
/** What passes while another server becomes the leader. */
const PASSING = ['store/no-leader', 'timeout', 'store/outcome-unknown']

export class BackupScheduleRun extends NodeCommand {
  static override summary = 'Make the backup of a schedule now, and wait for it.'
  static override description =
    'The server that leads makes it, whatever server is asked, also when the schedule is suspended. Exit codes: ' +
    '0 it is at its target · 1 it failed · 5 it was not finished in time, and goes on.'
  static override examples = ['<%= config.bin %> backup schedule run nightly']
  static override args = { name: Args.string({ description: 'Of the schedule.', required: true }) }
  static override flags = {
    timeout: Flags.integer({
      char: 't',
      description: 'How long to wait.',
      default: TIMEOUT_S,
      min: 1,
      max: 86_400,
      helpValue: 'SECONDS',
    }),
    format: formatFlag,
  }

  async run(): Promise<number> {
    const { args, flags } = await this.parse(BackupScheduleRun)
    const { name } = args
    const client = createBackupSchedulesClient(nodePaths(flags['data-dir']).adminSocket)
    const request = await client.request(name)
    const run = await waitFor(client, { name, request, timeoutMs: flags.timeout * 1_000 })
    if (run.error !== null) {
      const { message, why, hint } = run.error
      throw new Mk8sError('host/program-failed', `the backup of ${name} failed: ${message}`, {
        ...(why !== '' && { why }),
        hint: hint === '' ? 'mk8s backup schedule list --format json' : hint,
      })
    }
    if (flags.json || flags.format === 'json') printJson(run)
    else print(renderRun(name, run))
    return 0
  }
}

interface Awaited {
  readonly name: string
  readonly request: string
  readonly timeoutMs: number
}

async function waitFor(
  client: BackupSchedulesClient,
  { name, request, timeoutMs }: Awaited,
): Promise<BackupRun> {
  const deadline = systemClock.monotonic() + timeoutMs
  while (systemClock.monotonic() < deadline) {
    const schedules = await client.list().catch(error => {
      if (error instanceof Mk8sError && PASSING.includes(error.code)) return null
      throw error
    })
    const schedule = schedules?.find(each => each.name === name)
    const run = schedule?.runs.find(each => each.request === request)
    if (run !== undefined) return run
    if (schedules !== null && schedule === undefined)
      throw new Mk8sError('refused', `the backup schedule ${name} was removed meanwhile`)
    await sleepAlive(systemClock, LOOK_MS)
  }
  throw new Mk8sError('timeout', `the backup of ${name} was not finished in time; it goes on`, {
    hint: 'mk8s backup schedule list',
  })
}
