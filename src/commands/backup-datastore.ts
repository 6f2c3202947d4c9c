/** `mk8s backup-datastore`: one file with everything that the cluster is. */
import { constants as access, accessSync, existsSync, fstatSync, statSync } from 'node:fs'
import { Socket } from 'node:net'
import { constants, setPriority } from 'node:os'
import { join, resolve } from 'node:path'
import type { Writable } from 'node:stream'
import { systemClock } from '../base/clock.ts'
import { Mk8sError, systemCodeOf } from '../base/errors.ts'
import { systemRandom } from '../base/random.ts'
import { Flags } from '../cli/flags.ts'
import { print, printJson, remark } from '../cli/terminal.ts'
import { createAdminClient } from '../client/admin-client.ts'
import { nodePaths } from '../host/node-files.ts'
import { copyDatastore } from '../runtime/backup/copy-datastore.ts'
import { type BackupContent, createBackup } from '../runtime/backup/create-backup.ts'
import { dataOf, defaultName, describeBackup } from '../runtime/backup/describe-backup.ts'
import { readSealingKey, type SealingKey } from '../runtime/backup/keys.ts'
import { refuseExisting, writeFileWhole, writeToStream } from '../runtime/backup/output.ts'
import { removedAtExit } from './backup/leftovers.ts'
import { formatFlag } from './backup/opening-flags.ts'
import { mustBeRoot, NodeCommand } from './base-command.ts'

const STANDARD_OUTPUT = '-'
const READABLE =
  'Warning: the Secrets in this backup can be read by whoever has the file, and the keys of the cluster are not in ' +
  'it. Encrypt it with --passphrase-file or --public-key.'

interface Target {
  readonly output: string | undefined
  readonly force: boolean
  readonly leftovers: Set<string>
}

interface Written {
  readonly content: BackupContent
  readonly file: string | null
  readonly bytes: number
}

export class BackupDatastore extends NodeCommand {
  static override summary = 'Back the cluster up into one file.'
  static override description =
    'Any server will do, at any time; writes go on meanwhile. The file holds everything that was acknowledged ' +
    'before the command began. Encrypted, it holds the keys of the cluster too; otherwise the Secrets in it can be ' +
    'read, except those with credentials of backup targets, which are left out. The file has its name only once it ' +
    'is whole and on disk. Restore it with restore-datastore.'
  static override examples = [
    '<%= config.bin %> backup-datastore',
    '<%= config.bin %> backup-datastore --passphrase-file /root/backup-passphrase -o /mnt/backups',
    '<%= config.bin %> backup-datastore --public-key backup.pub -o - | ssh host "cat > mk8s.mk8sbackup"',
  ]
  static override flags = {
    output: Flags.string({
      char: 'o',
      description:
        'Where to: a file, a directory, or - for standard output. [default: mk8s-backup-CLUSTER-TIME.mk8sbackup here]',
      helpValue: 'FILE',
    }),
    'passphrase-file': Flags.string({
      description: 'Encrypt with the passphrase in this file.',
      helpValue: 'FILE',
      exclusive: ['public-key'],
    }),
    'public-key': Flags.string({
      description:
        'Encrypt for this X25519 or elliptic-curve key (PEM); only its private half opens the backup.',
      helpValue: 'FILE',
    }),
    force: Flags.boolean({ description: 'Replace the file if it is there.' }),
    format: formatFlag,
  }

  async run(): Promise<number> {
    const { flags } = await this.parse(BackupDatastore)
    const { output, force } = flags
    yieldToOthers()
    const target = { output, force, leftovers: removedAtExit() }
    refuseTarget(target)
    const sealing = readSealingKey({
      passphraseFile: flags['passphrase-file'],
      publicKeyFile: flags['public-key'],
    })
    const paths = nodePaths(flags['data-dir'])
    mustReachDatastore(flags['data-dir'])
    const admin = createAdminClient(paths.adminSocket)
    const { leftovers } = target
    const parts = { clock: systemClock, random: systemRandom, leftovers }
    const written = await createBackup(
      {
        ...parts,
        copy: async () => await copyDatastore(await admin.copyDatastore(), parts),
        pkiDirectory: paths.pki,
        sealing,
      },
      content => writeBackup(content, target),
    )
    tell(written, sealing, flags.json || flags.format === 'json')
    return 0
  }
}

/** The group that may use the admin socket may not read what lies in the node's directory. */
function mustReachDatastore(dataDir: string): void {
  try {
    accessSync(join(dataDir, 'datastore'), access.R_OK | access.W_OK | access.X_OK)
  } catch (error) {
    if (systemCodeOf(error) === 'EACCES') mustBeRoot('backup-datastore')
  }
}

/** Those who write meanwhile come first. */
function yieldToOthers(): void {
  try {
    setPriority(constants.priority.PRIORITY_LOW)
  } catch {
    // Then all are equal.
  }
}

/** Before anything is done: what would fail in the end. */
function refuseTarget({ output, force }: Target): void {
  if (output === STANDARD_OUTPUT && process.stdout.isTTY)
    throw new Mk8sError('usage', 'a backup is not written to a terminal', { hint: 'name a file: -o FILE' })
  if (output !== undefined && output !== STANDARD_OUTPUT && !isDirectory(output))
    refuseExisting(output, force)
}

async function writeBackup(content: BackupContent, target: Target): Promise<Written> {
  let bytes = 0
  async function* counted(): AsyncGenerator<Buffer> {
    for await (const piece of content.bytes()) {
      bytes += piece.length
      yield piece
    }
  }
  if (target.output === STANDARD_OUTPUT) {
    await writeToStream(standardOutput(), counted())
    return { content, file: null, bytes }
  }
  const { output = '.' } = target
  const file = resolve(isDirectory(output) ? join(output, defaultName(content.manifest)) : output)
  await writeFileWhole(file, counted(), target)
  return { content, file, bytes }
}

/** A pipe that nobody reads from would stop the whole process, so that it could not even be interrupted. */
function standardOutput(): Writable {
  const { stdout } = process
  if (fstatSync(stdout.fd).isFile()) return stdout
  const pipe = new Socket({ fd: stdout.fd, readable: false, writable: true })
  // Each write tells of its own failure.
  pipe.on('error', () => {})
  return pipe
}

const isDirectory = (path: string): boolean =>
  path.endsWith('/') || (existsSync(path) && statSync(path).isDirectory())

/** Beside a backup on standard output, everything else goes to standard error. */
function tell({ content, file, bytes }: Written, sealing: SealingKey | null, json: boolean): void {
  const encryption = sealing?.kind ?? ('none' as const)
  const described = { file, bytes, encryption, manifest: content.manifest }
  if (file === null) remark(json ? JSON.stringify(dataOf(described)) : describeBackup(described))
  else if (json) printJson(dataOf(described))
  else print(describeBackup(described))
  if (sealing === null) remark(READABLE)
}
