/** Where a command finds the backup that it is told of, when that is no file here: at a target, fetched from there. */
import { constants as access, accessSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { systemClock } from '../../base/clock.ts'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import { nearest } from '../../base/nearest.ts'
import { systemRandom } from '../../base/random.ts'
import { remark } from '../../cli/terminal.ts'
import { createBackupSchedulesClient } from '../../client/backup-schedules.ts'
import { isNotFound, KubeClient } from '../../client/kube-client.ts'
import { readNodeConfig } from '../../config/config-files.ts'
import { nodePaths } from '../../host/node-files.ts'
import type { JsonMap } from '../../kube/json-map.ts'
import type { KubeObject } from '../../kube/object.ts'
import { parseYaml } from '../../kube/yaml.ts'
import { BACKUP_EXTENSION, sizeInWords } from '../../runtime/backup/describe-backup.ts'
import { parseCredentials, passphraseIn, readCredentials } from '../../runtime/backup/targets/credentials.ts'
import { fetchBackup, newestFirst, newestOf, whatIsThere } from '../../runtime/backup/targets/fetch.ts'
import { openTarget } from '../../runtime/backup/targets/open-target.ts'
import type { BackupTarget, TargetCredentials } from '../../runtime/backup/targets/target.ts'
import { administratorOf } from '../administrator.ts'
import { removedAtExit } from './leftovers.ts'
import type { FoundBackup, RemoteFlags } from './remote-flags.ts'

const CREDENTIALS_BYTES_MAX = 1024 * 1024
const SECRETS = { group: '', version: 'v1', resource: 'secrets', namespaced: true }
const NAMESPACE = 'kube-system'
const PARTS = { clock: systemClock, random: systemRandom }

/** Without a name, the newest one of the schedule that the flags name. */
export async function fetchFrom(file: string | undefined, flags: RemoteFlags): Promise<FoundBackup> {
  const { schedule } = flags
  const signal = new AbortController().signal
  const { target, credentials, name } =
    schedule === undefined
      ? await byUrl(file ?? '', flags, signal)
      : await bySchedule(schedule, file, flags, signal)
  const leftovers = removedAtExit()
  const path = await fetchBackup(target, name, {
    ...{ random: systemRandom, signal, leftovers },
    directory: directoryFor(flags['data-dir']),
    onBegin: bytes => flags.json || remark(`fetching ${name} (${sizeInWords(bytes)}) of ${target.url}`),
  })
  return {
    path,
    shown: `${name} of ${target.url}`,
    passphrase: passphraseIn(credentials),
    release() {
      rmSync(path, { force: true })
      leftovers.delete(path)
    },
  }
}

interface Place {
  readonly target: BackupTarget
  readonly credentials: TargetCredentials
  readonly name: string
}

async function byUrl(text: string, flags: RemoteFlags, signal: AbortSignal): Promise<Place> {
  const url = URL.parse(text)
  const [, directory = '', last = ''] = /^(.*?)([^/]*)$/.exec(url?.pathname ?? '') ?? []
  const name = last.endsWith(BACKUP_EXTENSION) ? decodeURIComponent(last) : null
  if (url !== null && name !== null) url.pathname = directory
  const opened = await openTargetOf(name === null ? text : (url?.href ?? text), flags)
  if (name !== null) return { ...opened, name }
  const files = await opened.target.list(signal)
  const [newest = `NAME${BACKUP_EXTENSION}`] = newestFirst(files)
  throw new Mk8sError(
    'usage',
    `${opened.target.url} is a target, and it is not said which of its backups is meant`,
    {
      why: whatIsThere(files),
      hint: `add the name of the file to the path: …/${newest}`,
    },
  )
}

/** Throws `config/invalid`, `config/unreadable`, `node/not-running`. */
export async function openTargetOf(
  to: string,
  flags: Omit<RemoteFlags, 'schedule'>,
): Promise<{ readonly target: BackupTarget; readonly credentials: TargetCredentials }> {
  const { secret = null, credentials: file } = flags
  const credentials = file === undefined ? await credentialsOf(secret, flags) : readCredentialsFile(file)
  return { target: openTarget(to, credentials, PARTS), credentials }
}

async function bySchedule(
  schedule: string,
  file: string | undefined,
  flags: RemoteFlags,
  signal: AbortSignal,
): Promise<Place> {
  const dataDir = flags['data-dir']
  const schedules = await createBackupSchedulesClient(nodePaths(dataDir).adminSocket).list()
  const found = schedules.find(({ name }) => name === schedule)
  if (found === undefined) {
    const names = schedules.map(({ name }) => name)
    const near = nearest(schedule, names)
    throw new Mk8sError('config/invalid', `there is no backup schedule ${JSON.stringify(schedule)}`, {
      why: names.length === 0 ? 'there is none at all' : `there are ${names.join(', ')}`,
      hint: near === undefined ? 'mk8s backup schedule list' : `did you mean ${near}?`,
    })
  }
  const { to, secret } = found.spec
  const opened = await openTargetOf(to, { ...flags, secret: secret ?? undefined })
  if (file !== undefined) return { ...opened, name: file }
  const { clusterId } = readNodeConfig(dataDir)
  return { ...opened, name: await newestOf(opened.target, { clusterId, schedule }, signal) }
}

async function credentialsOf(
  secret: string | null,
  { 'data-dir': dataDir }: RemoteFlags,
): Promise<TargetCredentials> {
  if (secret === null) return new Map()
  const transport = await administratorOf(readNodeConfig(dataDir))
  try {
    const client = new KubeClient(transport, { userAgent: 'mk8s/backup' })
    const found = await client
      .get<KubeObject>(SECRETS, { namespace: NAMESPACE, name: secret })
      .catch(error => {
        if (isNotFound(error)) return null
        throw error
      })
    return readCredentials(secret, found as JsonMap | null)
  } finally {
    transport.close()
  }
}

/** Nobody else may be able to read it. */
function readCredentialsFile(path: string): TargetCredentials {
  let text: string
  try {
    const { mode, size } = statSync(path)
    if ((mode & 0o077) !== 0)
      throw new Mk8sError(
        'config/invalid',
        `${path} is not used: others than its owner can read or change it`,
        {
          why: `its mode is ${(mode & 0o777).toString(8).padStart(4, '0')}, and it holds credentials`,
          hint: `chmod 600 ${path}; and replace the credentials if others had the chance to read them`,
        },
      )
    if (size > CREDENTIALS_BYTES_MAX) throw new Error(`it has ${size} bytes`)
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Mk8sError) throw error
    throw new Mk8sError('config/unreadable', `cannot read ${path}`, { why: messageOf(error), cause: error })
  }
  return parseCredentials(path, contentOf(path, text))
}

/** What a parser says of it may quote it, and so is not told. */
function contentOf(path: string, text: string): unknown {
  try {
    return parseYaml(text)
  } catch {
    throw new Mk8sError('config/invalid', `${path} holds no credentials`, {
      why: 'it is neither YAML nor JSON',
      hint: 'write lines such as access-key-id: VALUE',
    })
  }
}

/** The node's own directory has the room for a state; without a node there is only that for temporary files. */
function directoryFor(dataDir: string): string {
  try {
    accessSync(dataDir, access.R_OK | access.W_OK | access.X_OK)
    return dataDir
  } catch {
    return tmpdir()
  }
}
