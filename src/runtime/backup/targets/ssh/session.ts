/**
 * What the ssh program needs for as long as one file is carried: the key and the host keys of the Secret, in files of
 * mode 0600 in a directory of their own that goes afterwards. Nothing of the user's own SSH configuration counts, no
 * password is asked for, and a host whose key is not known is not talked to.
 */
import { rmSync } from 'node:fs'
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '../../../../base/clock.ts'
import { Mk8sError } from '../../../../base/errors.ts'
import { secretText } from '../credentials.ts'
import type { TargetCredentials } from '../target.ts'
import type { SshPlace } from './place.ts'

const CONNECT_SECONDS = 15
/** A connection that answers none of three questions is dead. */
const ALIVE_SECONDS = 15
const DIRECTORY_PREFIX = 'mk8s-ssh-'
/** No session lasts so long: its process was killed. */
const ABANDONED_MS = 24 * 3_600_000
const PATH_OF_OLD = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

export interface SshIdentity {
  /** PEM, as ssh wants it. */
  readonly privateKey: string
  /** Lines of a known_hosts file. */
  readonly knownHosts: string
}

export interface SshSession {
  /** Private; goes with the session. */
  readonly directory: string
  /** Options of ssh: all but the destination. */
  readonly options: readonly string[]
  readonly env: Readonly<Record<string, string>>
  close(): Promise<void>
}

/** Throws `config/invalid` for what is absent or cannot be used. */
export function readIdentity(credentials: TargetCredentials, place: SshPlace): SshIdentity {
  const refuse = (why: string, hint: string) =>
    new Mk8sError('config/invalid', `backups cannot go to ${place.shown}`, { why, hint })
  const key = secretText(credentials, 'ssh-private-key')
  if (key === undefined) {
    throw refuse('the Secret has no ssh-private-key', 'make one: ssh-keygen -t ed25519 -N "" -f backup-key')
  }
  const privateKey = `${key.replaceAll('\r', '').trim()}\n`
  if (!/^-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----\n/.test(privateKey)) {
    throw refuse('ssh-private-key of the Secret is not a private key', 'it is the file without .pub')
  }
  if (isEncrypted(privateKey)) {
    throw refuse(
      'ssh-private-key of the Secret has a passphrase, which nobody could type',
      'make a key of its own for backups: ssh-keygen -t ed25519 -N "" -f backup-key',
    )
  }
  const name = place.port === 22 ? place.host : `[${place.host}]:${place.port}`
  const named = place.hostKeys.map(hostKey => `${name} ${hostKey}`)
  const knownHosts = [secretText(credentials, 'known-hosts')?.trim() ?? '', ...named].filter(
    line => line !== '',
  )
  if (knownHosts.length > 0) return { privateKey, knownHosts: `${knownHosts.join('\n')}\n` }
  throw refuse(
    'no key of the host is given, and one that nobody has vouched for is not trusted',
    `put what ssh-keyscan -p ${place.port} ${place.host} prints into the Secret as known-hosts, after comparing it ` +
      'with ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub on the host',
  )
}

function isEncrypted(privateKey: string): boolean {
  if (privateKey.includes('ENCRYPTED')) return true
  const body = Buffer.from(privateKey.replaceAll(/-----[^-]+-----/g, ''), 'base64')
  const magic = 'openssh-key-v1\0'
  if (body.length < magic.length + 4 || body.toString('latin1', 0, magic.length) !== magic) return false
  const length = body.readUInt32BE(magic.length)
  return body.toString('latin1', magic.length + 4, magic.length + 4 + length) !== 'none'
}

export async function openSession(
  place: SshPlace,
  { privateKey, knownHosts }: SshIdentity,
  clock: Clock,
): Promise<SshSession> {
  await removeAbandoned(clock.now())
  const directory = await mkdtemp(join(tmpdir(), DIRECTORY_PREFIX))
  const atExit = () => rmSync(directory, { recursive: true, force: true })
  process.once('exit', atExit)
  const close = async () => {
    await rm(directory, { recursive: true, force: true })
    process.off('exit', atExit)
  }
  try {
    await writeFile(join(directory, 'identity'), privateKey, { mode: 0o600, flag: 'wx' })
    await writeFile(join(directory, 'known_hosts'), knownHosts, { mode: 0o600, flag: 'wx' })
  } catch (error) {
    await close()
    throw error
  }
  return { directory, options: optionsOf(place, directory), env: environmentOf(directory), close }
}

const optionsOf = ({ port }: SshPlace, directory: string): string[] => {
  const settings = {
    BatchMode: 'yes',
    StrictHostKeyChecking: 'yes',
    UserKnownHostsFile: `"${join(directory, 'known_hosts')}"`,
    GlobalKnownHostsFile: '/dev/null',
    UpdateHostKeys: 'no',
    IdentitiesOnly: 'yes',
    IdentityAgent: 'none',
    PreferredAuthentications: 'publickey',
    ClearAllForwardings: 'yes',
    ForwardAgent: 'no',
    ConnectTimeout: String(CONNECT_SECONDS),
    ServerAliveInterval: String(ALIVE_SECONDS),
    ServerAliveCountMax: '3',
    LogLevel: 'ERROR',
  }
  const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  return ['-F', 'none', '-T', '-i', join(directory, 'identity'), '-p', String(port), ...options]
}

const environmentOf = (directory: string): Record<string, string> => ({
  PATH: process.env['PATH'] ?? PATH_OF_OLD,
  HOME: directory,
  LC_ALL: 'C',
  TZ: 'UTC',
})

/** Of processes that were killed before they could tidy up. Only ours are touched. */
async function removeAbandoned(nowMs: number): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(DIRECTORY_PREFIX)) continue
    const path = join(tmpdir(), name)
    const found = await stat(path).catch(() => null)
    if (found === null || found.uid !== process.getuid?.() || nowMs - found.mtimeMs < ABANDONED_MS) continue
    await rm(path, { recursive: true, force: true }).catch(() => {})
  }
}
