/** `mk8s backup schedule set`: creates or replaces a schedule of backups. */

import { readFileSync } from 'node:fs'
import * as Args from '@oclif/core/args'
import { Mk8sError, messageOf } from '../../../base/errors.ts'
import { secondsIn } from '../../../cli/duration.ts'
import { Flags } from '../../../cli/flags.ts'
import { print, printJson, remark } from '../../../cli/terminal.ts'
import type { ScheduleEncryption } from '../../../client/backup-schedule-status.ts'
import { createBackupSchedulesClient } from '../../../client/backup-schedules.ts'
import { nodePaths } from '../../../host/node-files.ts'
import { NodeCommand } from '../../base-command.ts'
import { formatFlag } from '../opening-flags.ts'

const KEEP_DEFAULT = 7
const READABLE =
  'Warning: the Secrets in these backups can be read by whoever has them, and the keys of the cluster are not in ' +
  'them. Encrypt them with --public-key or --passphrase-in-secret.'

export class BackupScheduleSet extends NodeCommand {
  static override summary = 'Create or replace a schedule of backups.'
  static override description =
    'The server that leads makes the backups, and another one when it is lost. Any server takes the command. What ' +
    'is given replaces all that the schedule had. The target is tried out first; nothing is changed when that or ' +
    'anything else fails. Besides a directory, a target is s3://BUCKET/PREFIX?region=REGION, or with ' +
    '?endpoint=https://HOST:PORT; ssh://USER@HOST:PORT/PATH; or rsync://USER@HOST:PORT/PATH, which is rsync over SSH. ' +
    'Credentials are in a Secret in kube-system of the type mk8s.io/backup-target: access-key-id and ' +
    'secret-access-key (and session-token, ca.crt) for S3, ssh-private-key and known-hosts for the others. A file ' +
    'stays while any of the two rules keeps it, and the newest one always does.'
  static override examples = [
    '<%= config.bin %> backup schedule set nightly --cron "0 3 * * *" --to /mnt/backups --keep 7',
    '<%= config.bin %> backup schedule set hourly --cron @hourly --to s3://bucket/mk8s --secret s3 ' +
      '--public-key backup.pub --keep 24 --keep-for 30d',
    '<%= config.bin %> kubectl -n kube-system create secret generic nas --type=mk8s.io/backup-target ' +
      '--from-file=ssh-private-key=backup-key --from-file=known-hosts=nas.known_hosts',
    '<%= config.bin %> backup schedule set weekly --cron @weekly --to ssh://backup@nas/srv/mk8s --secret nas',
  ]
  static override args = { name: Args.string({ description: 'Of the schedule.', required: true }) }
  static override flags = {
    cron: Flags.string({
      description: 'When: minute, hour, day of month, month, day of week; or @hourly, @daily, @weekly.',
      helpValue: 'EXPRESSION',
      required: true,
    }),
    'time-zone': Flags.string({ description: 'Of these times.', helpValue: 'ZONE', default: 'UTC' }),
    to: Flags.string({
      description: 'Where to: a directory of the server that leads, or the URL of a target.',
      helpValue: 'TARGET',
      required: true,
    }),
    keep: Flags.integer({
      description: `Keep the latest so many. [default: ${KEEP_DEFAULT}, unless --keep-for is given]`,
      helpValue: 'NUMBER',
      min: 1,
    }),
    'keep-for': Flags.string({
      description: 'Keep those that are no older, such as 30d.',
      helpValue: 'SPAN',
    }),
    secret: Flags.string({
      description: 'The Secret in kube-system with the credentials of the target.',
      helpValue: 'NAME',
    }),
    'public-key': Flags.string({
      description: 'Encrypt for this X25519 or elliptic-curve key (PEM).',
      helpValue: 'FILE',
      exclusive: ['passphrase-in-secret'],
    }),
    'passphrase-in-secret': Flags.boolean({
      description: 'Encrypt with what the Secret has under the key passphrase.',
      dependsOn: ['secret'],
    }),
    'starting-deadline': Flags.string({
      description: 'How late a backup may begin that no server could begin in time.',
      helpValue: 'SPAN',
      default: '1d',
    }),
    suspend: Flags.boolean({ description: 'Make none until it is set without this again.' }),
    check: Flags.boolean({
      description: 'Try the target out first, from this server.',
      default: true,
      allowNo: true,
    }),
    format: formatFlag,
  }

  async run(): Promise<number> {
    const { args, flags } = await this.parse(BackupScheduleSet)
    const keepFor = flags['keep-for']
    const spec = {
      cron: flags.cron.trim(),
      timeZone: flags['time-zone'],
      to: flags.to,
      secret: flags.secret ?? null,
      encryption: encryptionOf(flags['public-key'], flags['passphrase-in-secret']),
      keep: flags.keep ?? (keepFor === undefined ? KEEP_DEFAULT : null),
      keepForSeconds: keepFor === undefined ? null : secondsIn(keepFor, '--keep-for'),
      startingDeadlineSeconds: secondsIn(flags['starting-deadline'], '--starting-deadline'),
      suspend: flags.suspend,
    }
    const client = createBackupSchedulesClient(nodePaths(flags['data-dir']).adminSocket)
    const { change, schedule } = await client.set(args.name, spec, { check: flags.check })
    if (flags.json || flags.format === 'json') printJson({ change, ...schedule })
    else {
      const next = schedule.nextRunAt === null ? 'it is suspended' : `it runs at ${schedule.nextRunAt}`
      print(`backup schedule ${args.name} ${change}; ${next}`)
    }
    if (spec.encryption.type === 'none') remark(READABLE)
    return 0
  }
}

function encryptionOf(publicKeyFile: string | undefined, passphrase: boolean): ScheduleEncryption {
  if (passphrase) return { type: 'passphrase' }
  if (publicKeyFile === undefined) return { type: 'none' }
  try {
    return { type: 'public-key', publicKey: readFileSync(publicKeyFile, 'utf8') }
  } catch (error) {
    throw new Mk8sError('config/unreadable', `cannot read ${publicKeyFile}`, {
      why: messageOf(error),
      cause: error,
    })
  }
}
