/**
 * A directory of another machine as a backup target, by ssh and a POSIX shell there. The bytes go into a file of
 * another name; its size and its SHA-256 are compared before it gets its own, in a second call, because the first
 * cannot tell a connection that broke from a file that ended.
 */
import { createHash } from 'node:crypto'
import { Mk8sError } from '../../../../base/errors.ts'
import { feedProgram, readProgram } from '../../../../host/program-streams.ts'
import { type ProgramResult, runProgram } from '../../../../host/programs.ts'
import {
  type BackupTarget,
  mustBeFileName,
  PART_SUFFIX,
  probeTarget,
  type TargetCredentials,
  type TargetFile,
  type TargetParts,
} from '../target.ts'
import { NO_DIRECTORY, NO_FILE, NOT_WHOLE, sshFailure } from './failures.ts'
import { parseSshPlace, type SshPlace } from './place.ts'
import { openSession, readIdentity, type SshIdentity, type SshSession } from './session.ts'

/** No byte in either direction. */
const STALL_MS = 120_000
/** One of the short scripts, a flush of the whole file among them. */
const SCRIPT_MS = 300_000
/** For the tidying after a failure, which may be that of the connection. */
const TIDY_MS = 20_000

const ENTER = `set -eu; umask 077; cd -- "$1" || exit ${NO_DIRECTORY}; `
/** Directory, name while it is written. */
const WRITE = `${ENTER}cat >"$2" || { rm -f -- "$2"; exit 1; }`
/** Directory, name while it is written, name, bytes, SHA-256. A host without a program for that compares bytes only. */
const GIVE_NAME =
  `${ENTER}fail() { rm -f -- "$2"; exit ${NOT_WHOLE}; }; ` +
  '[ "$(wc -c <"$2")" -eq "$4" ] || fail "$@"; ' +
  'sum=$( (sha256sum <"$2" || shasum -a 256 <"$2" || sha256 -q <"$2") 2>/dev/null | cut -c1-64); ' +
  '[ -z "$sum" ] || [ "$sum" = "$5" ] || fail "$@"; ' +
  'sync "$2" 2>/dev/null || sync; mv -f -- "$2" "$3"; sync . 2>/dev/null || sync'
const LIST =
  `${ENTER}if stat -c %s . >/dev/null 2>&1; ` +
  "then find . ! -name . -prune -type f -exec stat -c '%s %Y %n' {} +; " +
  "else find . ! -name . -prune -type f -exec stat -f '%z %m %N' {} +; fi"
const REMOVE = `${ENTER}rm -f -- "$2"`
const READ = `${ENTER}[ -f "$2" ] || exit ${NO_FILE}; cat -- "$2"`

export function openSsh(url: URL, credentials: TargetCredentials, parts: TargetParts): BackupTarget {
  const place = parseSshPlace(url)
  return new SshTarget(place, readIdentity(credentials, place), parts)
}

class SshTarget implements BackupTarget {
  readonly url: string
  readonly #place: SshPlace
  readonly #identity: SshIdentity
  readonly #parts: TargetParts

  constructor(place: SshPlace, identity: SshIdentity, parts: TargetParts) {
    this.url = place.shown
    this.#place = place
    this.#identity = identity
    this.#parts = parts
  }

  async put(
    name: string,
    bytes: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<{ readonly bytes: number }> {
    mustBeFileName(name)
    const part = `${name}.${Buffer.from(this.#parts.random.bytes(6)).toString('hex')}${PART_SUFFIX}`
    return await this.#inSession(async session => {
      try {
        return { bytes: await this.#write(session, { name, part, bytes }, signal) }
      } catch (error) {
        const tidy = AbortSignal.timeout(TIDY_MS)
        await this.#script(session, `removing ${part}`, [REMOVE, part], tidy).catch(() => {})
        throw error
      }
    })
  }

  async list(signal: AbortSignal): Promise<readonly TargetFile[]> {
    const { stdout } = await this.#inSession(session =>
      this.#script(session, 'listing what is there', [LIST], signal),
    )
    return stdout.split('\n').flatMap(line => {
      const [, bytes, seconds, name] = /^(\d+) (\d+) \.\/(.+)$/.exec(line) ?? []
      if (name === undefined) return []
      return [{ name, bytes: Number(bytes), modifiedMs: Number(seconds) * 1_000 }]
    })
  }

  async remove(name: string, signal: AbortSignal): Promise<void> {
    mustBeFileName(name)
    await this.#inSession(session => this.#script(session, `removing ${name}`, [REMOVE, name], signal))
  }

  async check(signal: AbortSignal): Promise<void> {
    await probeTarget(this, this.#parts.random, signal)
  }

  async *get(name: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    mustBeFileName(name)
    const session = await openSession(this.#place, this.#identity, this.#parts.clock)
    try {
      const end = yield* readProgram(
        'ssh',
        this.#arguments(session, [READ, name]),
        this.#stream(session, signal),
      )
      if (end.exitCode === 0) return
      if (end.exitCode !== NO_FILE) throw sshFailure(this.#place, `reading ${name}`, end)
      throw new Mk8sError('config/unreadable', `cannot read ${name} of ${this.url}`, {
        why: 'there is no such file',
      })
    } finally {
      await session.close()
    }
  }

  async #write(
    session: SshSession,
    { name, part, bytes }: { name: string; part: string; bytes: AsyncIterable<Uint8Array> },
    signal: AbortSignal,
  ): Promise<number> {
    const hash = createHash('sha256')
    let count = 0
    async function* measured() {
      for await (const piece of bytes) {
        hash.update(piece)
        count += piece.length
        yield piece
      }
    }
    const what = `writing ${name}`
    const write = this.#arguments(session, [WRITE, part])
    const end = await feedProgram('ssh', write, measured(), this.#stream(session, signal))
    if (end.exitCode !== 0) throw sshFailure(this.#place, what, end)
    await this.#script(session, what, [GIVE_NAME, part, name, String(count), hash.digest('hex')], signal)
    return count
  }

  async #script(
    session: SshSession,
    what: string,
    script: readonly [string, ...string[]],
    signal: AbortSignal,
  ): Promise<ProgramResult> {
    const result = await runProgram('ssh', this.#arguments(session, script), {
      accept: 'any',
      cleanEnvironment: true,
      env: session.env,
      timeoutMs: SCRIPT_MS,
      signal,
    })
    if (result.exitCode === 0) return result
    throw sshFailure(this.#place, what, { ...result, stalled: result.timedOut })
  }

  /** The script is the same for all; what differs are its arguments, of which the first is the directory. */
  #arguments({ options }: SshSession, [script, ...values]: readonly [string, ...string[]]): string[] {
    const { user, host, path } = this.#place
    const command = ['exec', 'sh', '-c', quote(script), 'sh', ...[path, ...values].map(quote)].join(' ')
    return [...options, '-l', user, '--', host, command]
  }

  #stream({ env }: SshSession, signal: AbortSignal) {
    return { env, clock: this.#parts.clock, stallMs: STALL_MS, signal }
  }

  async #inSession<T>(use: (session: SshSession) => Promise<T>): Promise<T> {
    const session = await openSession(this.#place, this.#identity, this.#parts.clock)
    try {
      return await use(session)
    } finally {
      await session.close()
    }
  }
}

/** One word of a shell, whatever is in it. */
const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`
